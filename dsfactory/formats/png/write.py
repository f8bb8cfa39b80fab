"""Plain pairs of images and index masks, in the folders that mmsegmentation expects."""

import io
import json
from pathlib import Path
from typing import ClassVar

from PIL import Image

from dsfactory.core.sample import VOID
from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.colours import voc_colour
from dsfactory.formats.writer import DatasetWriter, ExportPlan, ImageFormat


class PngWriter(DatasetWriter):
    """Writes ``img_dir/{train,val}`` and ``ann_dir/{train,val}``, a grey PNG of class ids beside each image.

    The ids are those of the other formats: 0 is the background, a class like any other, so ``reduce_zero_label`` stays
    off; 255 is ignored. ``metainfo.json`` has what mmsegmentation's ``BaseSegDataset`` takes as ``metainfo``: names and
    colours by id. Grey rather than palette, since readers that ask for colours turn a palette into other values.
    """

    image_formats: ClassVar[tuple[ImageFormat, ...]] = ("jpg", "png")
    uniform: ClassVar[bool] = True
    folders: ClassVar[tuple[str, ...]] = ("img_dir/train", "img_dir/val", "ann_dir/train", "ann_dir/val")

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        names = ("background", *plan.classes)
        metainfo = {
            "classes": names,
            "palette": [voc_colour(number) for number in range(len(names))],
            "ignore_index": VOID,
            "reduce_zero_label": False,
        }
        self.write("metainfo.json", json.dumps(metainfo, ensure_ascii=False).encode() + b"\n")

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        self.write_image(f"img_dir/{split}", sample)
        self.write(f"ann_dir/{split}/{sample.name}.png", grey_png(labels))


def grey_png(labels: Labels) -> bytes:
    """The class ids as an 8-bit grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(labels.mask).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
