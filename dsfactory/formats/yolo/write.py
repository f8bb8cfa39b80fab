"""YOLO segmentation: ``images/{train,val}``, ``labels/{train,val}`` and ``data.yaml``."""

from pathlib import Path
from typing import Any, ClassVar

import yaml

from dsfactory.dataset.sample import ExportSample, Instance, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.writer import DatasetWriter, ExportPlan
from dsfactory.formats.yolo.outline import mask_outline


class YoloWriter(DatasetWriter):
    """Writes the Ultralytics YOLO segmentation format (https://docs.ultralytics.com/datasets/segment).

    A line per instance: its class, from 0, and one polygon as x and y between 0 and 1. The format has no holes and no
    second polygon, so :func:`~dsfactory.formats.yolo.outline.mask_outline` joins them. It has no void either: void
    pixels belong to no instance. ``data.yaml`` names no absolute path, so the folder may be moved.
    """

    folders: ClassVar[tuple[str, ...]] = ("images/train", "images/val", "labels/train", "labels/val")

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        content: dict[str, Any] = {split: f"images/{split}" for split in plan.splits}
        content["names"] = dict(enumerate(plan.classes))
        self.write("data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        self.write_image(f"images/{split}", sample)
        lines = [_line(instance, labels) for instance in labels.objects()]
        self.write(f"labels/{split}/{sample.name}.txt", "".join(lines).encode())


def _line(instance: Instance, labels: Labels) -> str:
    points = mask_outline(instance.pixels) / (labels.width, labels.height)
    # Seven digits: an 8192nd of the last one is far below the outline's distance from the cracks.
    return " ".join([str(instance.category - 1), *(f"{value:.7f}" for value in points.ravel())]) + "\n"
