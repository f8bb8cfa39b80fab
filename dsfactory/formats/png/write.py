"""Plain pairs of images and index masks, in the folders that mmsegmentation expects."""

import io
import json
from pathlib import Path
from typing import ClassVar

from PIL import Image

from dsfactory.core.png import voc_palette
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.formats.writer import SPLITS, DatasetWriter, ExportPlan, ImageFormat, Split, encode_image


class PngWriter(DatasetWriter):
    """Writes ``img_dir/{train,val}`` and ``ann_dir/{train,val}``, a grey PNG of class ids beside each image.

    The ids are those of the other formats: 0 is the background, a class like any other, so ``reduce_zero_label`` stays
    off; 255 is ignored. ``metainfo.json`` has what mmsegmentation's ``BaseSegDataset`` takes as ``metainfo``: names and
    colours by id. Grey rather than palette, since readers that ask for colours turn a palette into other values.
    """

    version: ClassVar[int] = 1
    image_formats: ClassVar[tuple[ImageFormat, ...]] = ("jpg", "png")
    has_checksums: ClassVar[bool] = True

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        for kind in ("img_dir", "ann_dir"):
            for split in SPLITS:
                (root / kind / split).mkdir(parents=True)
        palette = voc_palette()
        names = ("background", *plan.classes)
        metainfo = {
            "classes": names,
            "palette": [list(palette[3 * number : 3 * number + 3]) for number in range(BACKGROUND, len(names))],
            "ignore_index": VOID,
            "reduce_zero_label": False,
        }
        self.write("metainfo.json", json.dumps(metainfo, ensure_ascii=False).encode() + b"\n")

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> int:
        image = encode_image(sample.image_png, self.plan.image_format)
        self.write(f"img_dir/{split}/{sample.key}.{self.plan.image_format}", image)
        self.write(f"ann_dir/{split}/{sample.key}.png", grey_png(labels))
        return sum(1 for _ in labels.objects())

    def finish(self) -> None:
        """Nothing ends such a dataset: each of its files is complete."""


def grey_png(labels: Labels) -> bytes:
    """The class ids as an 8-bit grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(labels.mask).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
