"""YOLO segmentation: ``images/{train,val}``, ``labels/{train,val}`` and ``data.yaml``."""

from pathlib import Path
from typing import ClassVar

import yaml

from dsfactory.dataset.sample import ExportSample, Instance, Labels
from dsfactory.formats.outline import mask_outline
from dsfactory.formats.writer import SPLITS, DatasetWriter, ExportPlan, ImageFormat, Split, encode_image


class YoloWriter(DatasetWriter):
    """Writes the Ultralytics YOLO segmentation format (https://docs.ultralytics.com/datasets/segment).

    A line per instance: its class, from 0, and one polygon as x and y between 0 and 1. The format has no holes and no
    second polygon, so :func:`~dsfactory.formats.outline.mask_outline` joins them. It has no void either: void pixels
    belong to no instance. ``data.yaml`` names no absolute path, so the folder may be moved.
    """

    version: ClassVar[int] = 1
    image_formats: ClassVar[tuple[ImageFormat, ...]] = ("png", "jpg")
    has_checksums: ClassVar[bool] = True

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        for kind in ("images", "labels"):
            for split in SPLITS:
                (root / kind / split).mkdir(parents=True)
        content = {"train": "images/train", "val": "images/val", "names": dict(enumerate(plan.classes))}
        self.write("data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> int:
        name = f"images/{split}/{sample.key}.{self.plan.image_format}"
        self.write(name, encode_image(sample.image_png, self.plan.image_format))
        lines = [_line(instance, labels) for instance in labels.objects()]
        self.write(f"labels/{split}/{sample.key}.txt", "".join(lines).encode())
        return len(lines)

    def finish(self) -> None:
        """Nothing ends a YOLO dataset: each of its files is complete."""


def _line(instance: Instance, labels: Labels) -> str:
    points = mask_outline(instance.pixels) / (labels.width, labels.height)
    # Seven digits: an 8192nd of the last one is far below the outline's distance from the cracks.
    return " ".join([str(instance.category - 1), *(f"{value:.7f}" for value in points.ravel())]) + "\n"
