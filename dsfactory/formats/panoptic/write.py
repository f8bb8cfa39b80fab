"""COCO panoptic segmentation: ``annotations/panoptic_*.json`` and a PNG of segment ids beside each image."""

import io
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.sample import ExportSample, Labels, box_of
from dsfactory.dataset.split import Split
from dsfactory.formats.coco.write import SplitFile, header
from dsfactory.formats.colours import voc_colour
from dsfactory.formats.writer import DatasetWriter, ExportPlan


class PanopticWriter(DatasetWriter):
    """Writes the panoptic format of COCO (https://cocodataset.org/#format-data), as Mask2Former and detectron2 read it.

    Objects are things. The background is stuff, a category of its own after the classes; void pixels have the id 0. A
    segment's id is its colour, red + 256 green + 65536 blue: that of its number in the VOC colour map.
    """

    folders: ClassVar[tuple[str, ...]] = ("annotations", "images/train", "images/val", "panoptic/train", "panoptic/val")

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        self._background = len(plan.classes) + 1
        self._splits = {split: self._open(split) for split in plan.splits}

    def _open(self, split: Split) -> SplitFile:
        head = header(self.plan, split)
        for category in head["categories"]:
            category["isthing"] = 1
        head["categories"].append({"id": self._background, "name": "background", "supercategory": "", "isthing": 0})
        waiting = self._streams.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        return SplitFile(self.stream(f"annotations/panoptic_{split}.json"), waiting, head)

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        name = self.write_image(f"images/{split}", sample)
        image_id = int(sample.row["number"]) + 1
        colours = np.zeros((*labels.mask.shape, 3), dtype=np.uint8)
        segments: list[dict[str, Any]] = []
        pieces = [(number, item.category, item.pixels) for number, item in enumerate(labels.objects(), start=1)]
        background = labels.mask == BACKGROUND
        if background.any():
            pieces.append((VOID, self._background, background))
        for number, category, pixels in pieces:
            red, green, blue = colours[pixels] = voc_colour(number)
            segments.append({
                "id": red + 256 * green + 65536 * blue, "category_id": category, "area": int(np.count_nonzero(pixels)),
                "bbox": list(box_of(pixels)), "iscrowd": 0,
            })  # fmt: skip
        buffer = io.BytesIO()
        Image.fromarray(colours).save(buffer, format="PNG", compress_level=6)
        self.write(f"panoptic/{split}/{sample.name}.png", buffer.getvalue())
        file = self._splits[split]
        size = {"width": labels.width, "height": labels.height}
        file.add_image({"id": image_id, "file_name": name, **size, "license": 1})
        file.add({"image_id": image_id, "file_name": f"{sample.name}.png", "segments_info": segments})

    def finish(self) -> None:
        for file in self._splits.values():
            file.finish()
