"""Read a labelled set of real images in the folder layout of PASCAL VOC."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from dsfactory.core.reading import read_text
from dsfactory.core.sample import VOID
from dsfactory.errors import UserError
from dsfactory.formats.colours import Colour, labels_of, voc_colour
from dsfactory.formats.reading.images import open_image, rgb_pixels
from dsfactory.formats.voc.layout import LABELMAP, list_name, parse_labelmap

Image = NDArray[np.uint8]
"""RGB: uint8 of shape (height, width, 3)."""

Labels = NDArray[np.uint8]
"""A label map: uint8 of shape (height, width)."""

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Names of the ids 0 to 20 in PASCAL VOC 2012, for folders that name none."""

MAX_FILE = 256_000_000
"""Largest image file in bytes."""
MAX_LIST = 64_000_000
"""Longest list of images in bytes."""
MAX_NAME = 240
"""Longest name of an image in characters."""
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class VocFolder:
    """A folder with ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation``.

    Attributes:
        root: the folder.
        names: of the labels in the order of their ids; id 0 is background. Ids of void labels have one of VOID_NAMES.
        colours: RGB of each label, for masks that are painted instead of indexed.
    """

    root: Path
    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    @classmethod
    def open(cls, root: Path) -> "VocFolder":
        """Read the label names: from ``labelmap.txt`` (as CVAT and Datumaro write it), else the 21 of VOC 2012.

        Raises:
            UserError: not such a folder, or a label map that cannot be used.
        """
        if not root.is_dir():
            raise UserError(f"{root} is not a folder: give one with JPEGImages, SegmentationClass and ImageSets")
        for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
            if not (root / name).is_dir():
                raise UserError(f"{root} has no folder {name}: it is not in the layout of PASCAL VOC")
        path = root / LABELMAP
        if not path.exists():
            return cls(root, VOC_CLASSES, tuple(map(voc_colour, range(len(VOC_CLASSES)))))
        labels = parse_labelmap(read_text(path, "label map"), str(path))
        if not labels or labels[0][0].lower() != "background":
            raise UserError(f"{path}: its first label is to be 'background', which has the id 0 in the masks")
        if len(labels) > VOID + 1:
            raise UserError(f"{path} names {len(labels)} labels: masks of 8 bits hold {VOID + 1}")
        names, colours = zip(*labels, strict=True)
        return cls(root, names, colours)

    def images(self, split: str, table: NDArray[np.uint8]) -> "VocImages":
        """The images of a list, ``train``, ``val`` or ``trainval``.

        Args:
            split: name of the list.
            table: uint8 ``(256,)``: what each label id of this folder becomes.

        Raises:
            UserError: no list, an empty one, or a file that it names is missing.
        """
        return VocImages(self, table, [self._item(split, name) for name in self._names(split)])

    def parts(self, split: str) -> dict[str, frozenset[str]]:
        """Names of a list's images by condition: those on ``val-night.txt`` beside ``val.txt`` are night's.

        Raises:
            UserError: such a list is empty, or names what is not within the folder.
        """
        lists = sorted((self.root / list_name("Segmentation", split)).parent.glob(f"{split}-*.txt"))
        return {path.stem.removeprefix(f"{split}-"): frozenset(self._names(path.stem)) for path in lists}

    def _names(self, split: str) -> list[str]:
        path = self.root / list_name("Segmentation", split)
        if not path.exists():
            raise UserError(f"{path} is missing: it is to name an image per line, without extension")
        names = [line.strip() for line in read_text(path, "list", MAX_LIST).splitlines() if line.strip()]
        if not names:
            raise UserError(f"{path} is empty: it is to name an image per line, without extension")
        for name in names:
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts or "\0" in name:
                raise UserError(f"{path} names {name[:60]!r}, which is not within the folder")
            if len(name) > MAX_NAME:
                raise UserError(f"{path} names {name[:60]!r}…, which is longer than any file's name")
        return list(dict.fromkeys(names))

    def _item(self, split: str, name: str) -> "VocItem":
        images = [self.root / "JPEGImages" / f"{name}{extension}" for extension in _EXTENSIONS]
        image = next((path for path in images if os.path.isfile(path)), None)
        if image is None:
            raise UserError(f"{images[0]} is missing, and {split}.txt names it")
        mask = self.root / "SegmentationClass" / f"{name}.png"
        if not os.path.isfile(mask):  # False for a name that the disk cannot hold, where Path.is_file raises
            raise UserError(f"{mask} is missing, and {split}.txt names it")
        return VocItem(name, image, mask)


@dataclass(frozen=True)
class VocItem:
    """An image and its mask."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class VocSummary:
    """What a list holds.

    Attributes:
        digest: hash of names, images, masks and of what the labels become.
        labels: ids, after the table, that occur.
    """

    digest: str
    labels: frozenset[int]


class VocImages:
    """The labelled images of one list, read when they are asked for."""

    def __init__(self, folder: VocFolder, table: NDArray[np.uint8], items: Sequence[VocItem]) -> None:
        self.folder, self.items = folder, items
        self._table = table

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Image, Labels]:
        item = self.items[index]
        return self._decode(item, _read(item.image), _read(item.mask))

    def summary(self, advance: Callable[[], None]) -> VocSummary:
        """Read everything once.

        Args:
            advance: called after each image.

        Raises:
            UserError: an image or a mask cannot be read, their sizes differ, or a value has no label.
        """
        digest = hashlib.sha256(self._table.tobytes())
        labels: set[int] = set()
        for item in self.items:
            image, mask = _read(item.image), _read(item.mask)
            labels |= set(np.unique(self._decode(item, image, mask)[1]).tolist())
            parts = [item.name, hashlib.sha256(image).hexdigest(), hashlib.sha256(mask).hexdigest()]
            digest.update(json.dumps(parts).encode())
            advance()
        return VocSummary(digest.hexdigest(), frozenset(labels - {VOID}))

    @cached_property
    def _by_colour(self) -> dict[Colour, int]:
        # Of two labels of one colour the first counts.
        colours = {colour: label for label, colour in reversed(list(enumerate(self.folder.colours)))}
        return {voc_colour(VOID): VOID, **colours}

    def _decode(self, item: VocItem, image: bytes, mask: bytes) -> tuple[Image, Labels]:
        labels = self.labels_in(item.mask, mask)
        return _fitting(item, image, labels.shape), self._table[labels]

    def labels_in(self, path: Path, data: bytes) -> Labels:
        """A mask's ids, those of this folder: uint8 ``(height, width)``.

        Raises:
            UserError: it cannot be read, or has a value without a label.
        """
        picture = _open(path, data)
        if picture.mode in ("RGB", "RGBA"):
            return self._from_colours(path, rgb_pixels(picture))
        if picture.mode not in ("P", "L", "1", "I", "I;16"):
            raise UserError(f"{path}: a mask holds class ids (palette or grey) or colours, not {picture.mode} pixels")
        values = np.array(picture, dtype=np.int64)
        unknown = np.unique(values[(values >= len(self.folder.names)) & (values != VOID)])
        if unknown.size:
            raise UserError(
                f"{path} has the value {unknown[0]}, and {self._source} names the labels 0 to "
                f"{len(self.folder.names) - 1} (255 is void): name the others there"
            )
        return values.astype(np.uint8)

    def _from_colours(self, path: Path, pixels: Image) -> Labels:
        try:
            return labels_of(pixels, self._by_colour)
        except KeyError as error:
            colour = ",".join(map(str, error.args[0]))
            raise UserError(
                f"{path} is painted in colours, and {self._source} has no label of the colour {colour}: add a line "
                "'name:red,green,blue::' to labelmap.txt, or store class ids"
            ) from None

    @property
    def _source(self) -> str:
        path = self.folder.root / LABELMAP
        return str(path) if path.exists() else "PASCAL VOC 2012 (there is no labelmap.txt)"


def _fitting(item: VocItem, data: bytes, shape: tuple[int, ...]) -> Image:
    """An image as RGB, turned as its EXIF tag says when the mask was drawn on what people see."""
    picture = _open(item.image, data)
    turned = picture.getexif().get(_ORIENTATION, 1) in range(2, 9)
    upright = ImageOps.exif_transpose(picture) if turned else picture
    for candidate in (upright, picture):
        if candidate.size == shape[::-1]:
            return rgb_pixels(candidate)
    raise UserError(
        f"{item.mask} has {shape[1]} × {shape[0]} pixels and its image {picture.width} × {picture.height}: "
        "make them the same size"
    )


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE:
        raise UserError(f"{path} has more than {MAX_FILE // 10**6} MB: is it an image?")
    return path.read_bytes()


def _open(path: Path, data: bytes) -> Pillow.Image:
    """A decoded JPEG or PNG.

    Raises:
        UserError: it is none, it is cut short, or it claims too many pixels.
    """
    try:
        return open_image(data, ("JPEG", "PNG"))
    except ValueError as error:
        raise UserError(f"{path} is not a readable JPEG or PNG ({error}): mend it, or take it off the list") from error
