"""Small real sets in the layout of PASCAL VOC."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dsfactory.core.png import encode_index_png
from tests.segment.shapes import Pair, shape_pairs

NAMES = ("background", "square", "bar")
LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nsquare:128,0,0::\nbar:0,128,0::\n"


def write_voc(root: Path, pairs: Sequence[Pair] | None = None, train: int = 4, labelmap: str | None = LABELMAP) -> Path:
    """Write pairs as a VOC folder; the first ``train`` are on the train list, the others on the val list."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    pairs = shape_pairs(7) if pairs is None else pairs
    names = [f"{number:03d}" for number in range(len(pairs))]
    for name, (image, labels) in zip(names, pairs, strict=True):
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=100, subsampling=0)
        (root / "SegmentationClass" / f"{name}.png").write_bytes(encode_index_png(labels))
    for split, members in (("train", names[:train]), ("val", names[train:]), ("trainval", names)):
        write_list(root, split, members)
    if labelmap is not None:
        (root / "labelmap.txt").write_text(labelmap)
    return root


def write_list(root: Path, split: str, names: Sequence[str]) -> None:
    (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
