"""Labelled sets of others on the disk: what is in them, and the labels of one picture at a time."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dsfactory.dataset.pictures import read_file
from dsfactory.errors import UserError
from dsfactory.formats.reading.labels import FixedLabels

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic")
"""What the names of pictures end in."""

_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "val", "testing": "val",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A picture of a labelled set.

    Attributes:
        name: what the set calls it, with slashes.
        image: its file; empty where the set holds the picture itself.
        split: ``"train"``, ``"val"``, or empty where the set says nothing. What is for testing counts as val.
        place: where its labels are, in the terms of the set.
        mark: tells its labels from others.
        fault: why it cannot be used; empty for all others.
        synthetic: a model made it.
        root: key that decides its split in another run; empty for none.
    """

    name: str
    image: str = ""
    split: str = ""
    place: str = ""
    mark: str = ""
    fault: str = ""
    synthetic: bool = False
    root: str = ""


class LabelledSet(ABC):
    """A set of pictures with labels.

    Args:
        root: its folder or file.
        facts: what :meth:`scan` has found out, as JSON values; None to look.

    Attributes:
        names: of its labels, without background; None where masks hold ids that nobody has named.
    """

    kind: ClassVar[str]
    names: tuple[str, ...] | None = ()

    def __init__(self, root: Path, facts: Mapping[str, Any] | None = None) -> None:
        self.root = root
        self.facts: dict[str, Any] = dict(facts) if facts is not None else self.look()
        names = self.facts.get("names")
        self.names = tuple(names) if names is not None else None

    @abstractmethod
    def look(self) -> dict[str, Any]:
        """What reading needs to know of the whole set, as JSON values; ``names`` among it.

        Raises:
            UserError: it cannot be read.
        """

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """Its pictures, in an order that is always the same.

        Raises:
            UserError: it cannot be read.
        """

    @abstractmethod
    def labels(self, item: Item, shape: tuple[int, int], ids: Mapping[str, int]) -> FixedLabels:
        """A picture's labels.

        Args:
            item: the picture.
            shape: its height and width.
            ids: by label, what it becomes: a class id, 0 for background, 255 for what is to be ignored.

        Raises:
            ValueError: they cannot be read; says why in a few words.
        """

    def picture(self, item: Item) -> bytes:
        """A picture's file.

        Raises:
            ValueError: it cannot be read; says why in a few words.
        """
        return read_file(Path(item.image))

    def columns(self, item: Item) -> Mapping[str, Any]:
        """Prompt, model and seed of a picture that a model made, and where it comes from."""
        return {}


def split_in(text: str) -> str:
    """The split that a path or a name speaks of; empty for none.

    Example:
        >>> split_in("annotations/instances_val2017.json"), split_in("images/training/7.jpg"), split_in("a.jpg")
        ('val', 'train', '')
    """
    words = re.findall("[a-z]+", text.lower())
    return next((_SPLITS[word] for word in reversed(words) if word in _SPLITS), "")


def file_mark(path: Path) -> str:
    """Tells a file of labels from others, without reading it."""
    return str(path.stat().st_size)


def label_table(names: Sequence[str], ids: Mapping[str, int]) -> NDArray[np.uint8]:
    """What each id of a mask becomes, uint8 ``(256,)``; ``names`` are those of the ids from 1, and 255 stays 255."""
    table = np.zeros(256, dtype=np.uint8)
    for number, name in enumerate(names, start=1):
        table[number] = ids.get(name, 0)
    table[255] = 255
    return table


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, in the order of their names."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURES and path.name[0] != "."]


def pictures_below(folder: Path) -> dict[str, Path]:
    """The same by their path in the folder without extension; of several the first."""
    found: dict[str, Path] = {}
    for path in pictures_in(folder):
        found.setdefault(PurePosixPath(path.relative_to(folder)).with_suffix("").as_posix(), path)
    return found


KINDS = {
    "yolo": "yolo.labelled:YoloSet", "voc": "voc.labelled:VocSet", "parquet": "parquet.labelled:ParquetSet",
    "coco": "coco.labelled:CocoSet", "png": "png.labelled:PngSet",
}  # fmt: skip
"""Who reads which kind of set, in the order in which a folder is looked at."""


def set_kind(name: str) -> "type[LabelledSet]":
    """Who reads a kind of set."""
    module, _, kind = KINDS[name].partition(":")
    return getattr(import_module(f"dsfactory.formats.{module}"), kind)  # type: ignore[no-any-return]


def find_kind(root: Path) -> str:
    """The kind of a labelled set, told by the files that are there.

    Raises:
        UserError: it is none.
    """
    if root.suffix.lower() == ".json":
        return "coco"
    if root.suffix.lower() in (".yaml", ".yml") and root.is_file():
        return "yolo"
    if root.suffix.lower() == ".parquet":
        return "parquet"
    if (root / "data.yaml").is_file() or (root / "dataset.yaml").is_file():
        return "yolo"
    if (root / "SegmentationClass").is_dir():
        return "voc"
    if any(root.glob("*.parquet")) or any(root.glob("data/*.parquet")):
        return "parquet"
    if coco_files(root):
        return "coco"
    if mask_folder(root) is not None:
        return "png"
    raise UserError(
        f"{root} holds no labelled set that is read here: a run, COCO (annotations/*.json), VOC (SegmentationClass), "
        "YOLO (data.yaml), Parquet, or masks (ann_dir, masks, labels or annotations) beside images"
    )


def coco_files(root: Path) -> list[Path]:
    """The COCO files of a set: those of instances where a folder has others, too."""
    if root.is_file():
        return [root]
    found = sorted(root.glob("annotations/*.json")) or sorted(root.glob("*.json"))
    found += [] if found else sorted(root.glob("*/_annotations.coco.json"))  # as Roboflow lays them out
    own = [path for path in found if path.name not in ("dsfactory.json", "labels.json", "metainfo.json")]
    return [path for path in own if path.name.startswith("instances")] or own


def mask_folder(root: Path) -> Path | None:
    """The folder of masks of a set of mask pairs; None where there is none."""
    folders = (root / name for name in ("ann_dir", "masks", "mask", "labels", "annotations", "SegmentationClassRaw"))
    return next((path for path in folders if path.is_dir() and next(path.rglob("*.png"), None)), None)
