"""CVAT for images 1.1: masks that a person can correct with a brush, to be brought back with ``dsfactory import``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.dataset.sample import ExportSample, Labels, box_of
from dsfactory.dataset.split import Split
from dsfactory.errors import UserError
from dsfactory.formats.colours import voc_colour
from dsfactory.formats.writer import DatasetWriter, ExportPlan

VOID_LABEL = "void"
"""Name of the label for pixels about which nothing is said."""


class CvatWriter(DatasetWriter):
    """Writes ``annotations.xml`` (CVAT for images 1.1), ``images``, and ``labels.json`` for CVAT's label editor.

    Each instance is a ``mask`` shape, exact to the pixel. Void is a mask of the label ``void`` below the others, so
    that a person sees what is open, and may paint over it or delete it.
    (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat)
    """

    folders: ClassVar[tuple[str, ...]] = ("images",)

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        if VOID_LABEL in plan.classes:
            raise UserError(f"cvat needs the label {VOID_LABEL!r} for pixels that are left open: rename the class")
        labels = list(_labels(plan.classes))
        self.write("labels.json", json.dumps(labels, indent=1, ensure_ascii=False).encode() + b"\n")
        self._file = self.stream("annotations.xml")
        self._file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        self._file.write(_meta(labels) + b"\n")
        self._images = 0

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        name = self.write_image("images", sample)
        image = ElementTree.Element(
            "image", id=str(self._images), name=name, width=str(labels.width), height=str(labels.height)
        )
        self._images += 1
        if np.any(labels.mask == VOID):
            _append_mask(image, VOID_LABEL, labels.mask == VOID, 0)
        for instance in labels.objects():
            _append_mask(image, self.plan.classes[instance.category - 1], instance.pixels, 1)
        ElementTree.indent(image)
        self._file.write(ElementTree.tostring(image, encoding="utf-8") + b"\n")

    def finish(self) -> None:
        self._file.write(b"</annotations>\n")


def _labels(classes: tuple[str, ...]) -> Iterator[dict[str, object]]:
    for number, name in (*enumerate(classes, start=1), (VOID, VOID_LABEL)):
        yield {"name": name, "color": f"#{bytes(voc_colour(number)).hex()}", "type": "any", "attributes": []}


def _meta(labels: list[dict[str, object]]) -> bytes:
    meta = ElementTree.Element("meta")
    task = ElementTree.SubElement(meta, "task")
    ElementTree.SubElement(task, "name").text = "dsfactory"
    listed = ElementTree.SubElement(task, "labels")
    for item in labels:
        label = ElementTree.SubElement(listed, "label")
        for name in ("name", "color", "type"):
            ElementTree.SubElement(label, name).text = str(item[name])
        ElementTree.SubElement(label, "attributes")
    ElementTree.indent(meta)
    text: bytes = ElementTree.tostring(meta, encoding="utf-8")
    return text


def _append_mask(image: ElementTree.Element, label: str, pixels: NDArray[np.bool_], z_order: int) -> None:
    x, y, width, height = box_of(pixels)
    runs = run_lengths(pixels[y : y + height, x : x + width])
    ElementTree.SubElement(
        image,
        "mask",
        label=label,
        source="auto",
        occluded="0",
        rle=", ".join(map(str, runs)),
        left=str(x),
        top=str(y),
        width=str(width),
        height=str(height),
        z_order=str(z_order),
    )


def run_lengths(window: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of equal pixels row by row, the first one of pixels that are off (and maybe 0 long)."""
    flat = window.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs
