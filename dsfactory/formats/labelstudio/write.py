"""Label Studio: tasks with the run's labels as predictions, to be corrected there and brought back."""

import json
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.dataset.split import Split
from dsfactory.errors import UserError
from dsfactory.formats.colours import voc_colour
from dsfactory.formats.labelstudio.brush import encode_brush
from dsfactory.formats.writer import DatasetWriter, ExportPlan

VOID_LABEL = "void"
IMAGE_URL = "/data/local-files/?d=images/"
"""Where Label Studio finds the images when its LOCAL_FILES_DOCUMENT_ROOT is the export's folder."""
FROM_NAME, TO_NAME = "label", "image"


class LabelStudioWriter(DatasetWriter):
    """Writes ``tasks.json``, ``images``, and ``labels.xml`` for the project's labelling interface.

    Each object is a brush mask, exact to the pixel, in a prediction of its task
    (https://labelstud.io/guide/predictions). Void is a mask of the label ``void``.
    """

    folders: ClassVar[tuple[str, ...]] = ("images",)

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        if VOID_LABEL in plan.classes:
            raise UserError(f"labelstudio needs the label {VOID_LABEL!r} for what is left open: rename the class")
        self.write("labels.xml", _interface(plan.classes))
        self._file = self.stream("tasks.json")
        self._tasks = 0

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        name = self.write_image("images", sample)
        results = [
            _result(f"{sample.key}-{number}", self.plan.classes[item.category - 1], item.pixels)
            for number, item in enumerate(labels.objects(), start=1)
        ]
        if np.any(labels.mask == VOID):
            results.insert(0, _result(f"{sample.key}-void", VOID_LABEL, labels.mask == VOID))
        task = {
            "data": {"image": f"{IMAGE_URL}{name}", "key": sample.key, "split": split},
            "predictions": [{"model_version": f"dsfactory {self.plan.model}", "result": results}],
        }
        self._file.write((b"[\n" if not self._tasks else b",\n") + json.dumps(task, ensure_ascii=False).encode())
        self._tasks += 1

    def finish(self) -> None:
        self._file.write(b"\n]\n")


def _result(name: str, label: str, pixels: NDArray[np.bool_]) -> dict[str, Any]:
    height, width = pixels.shape
    return {
        "id": name,
        "type": "brushlabels",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(pixels), "brushlabels": [label]},
    }


def _interface(classes: tuple[str, ...]) -> bytes:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=TO_NAME, value="$image", zoom="true")
    brush = ElementTree.SubElement(view, "BrushLabels", name=FROM_NAME, toName=TO_NAME)
    for number, name in (*enumerate(classes, start=1), (VOID, VOID_LABEL)):
        ElementTree.SubElement(brush, "Label", value=name, background=f"#{bytes(voc_colour(number)).hex()}")
    ElementTree.indent(view)
    text: bytes = ElementTree.tostring(view, encoding="utf-8")
    return text + b"\n"
