"""What goes into an export: a finished sample's files, and the instances read from them."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.png import MAX_PIXELS, decode_index_png, encode_rgb_png
from dsfactory.core.sample import BACKGROUND, VOID, Media
from dsfactory.dataset.pictures import look_at
from dsfactory.dataset.split import Split
from dsfactory.errors import DsfactoryError


@dataclass(frozen=True)
class Original:
    """The user's own file that a sample was made of, unchanged since.

    Attributes:
        path: where it is.
        suffix: what its name ends in, as the user wrote it: ``"JPG"``.
        kind: what it is, one of :data:`dsfactory.dataset.pictures.KINDS`.
        data: its bytes.
        size: width and height, turned as its EXIF says.
        scaled: the run's image is smaller than the file.
    """

    path: Path
    suffix: str
    kind: str
    data: bytes
    size: tuple[int, int]
    scaled: bool


@dataclass(frozen=True)
class ExportSample:
    """A sample to export, as the run's shards hold it.

    Attributes:
        key: unique in the export and safe in a path; decides the split unless that is given.
        row: its columns; ``number`` is read, ``prompt``, ``model`` and ``image_seed`` are handed on where present.
        image_png: the RGB image.
        mask_png: class ids 1…N, 0 background, 255 void, as a palette PNG with the VOC colour map.
        instances_png: instance ids 1…, 0 background, 255 void, as a palette PNG with the VOC colour map.
        split: where it belongs whatever its key: ``"train"`` for what was spliced of train samples.
        corrected: a person corrected its labels.
        stem: what its files are called, without extension, with the folders that they are in; empty for the key.
        source: the user's own picture, relative to the folder of the pictures; empty for what has none.
        original: that picture's file, whose size the masks have then; None where it is not to be had.
        lost: it is not there any more as it was: the image is the run's copy.
        trust: of each object by its instance id, the probability that it is right (see :mod:`dsfactory.trust`); empty
            where nobody can say.
        media: what the image is.
    """

    key: str
    row: dict[str, Any]
    image_png: bytes
    mask_png: bytes
    instances_png: bytes
    split: Split | None = None
    corrected: bool = False
    stem: str = ""
    source: str = ""
    original: Original | None = None
    lost: bool = False
    trust: Mapping[int, float] = field(default_factory=dict)
    media: Media = "trainedAlgorithmicMedia"

    @property
    def synthetic(self) -> bool:
        """Whether a generative model made the image, or a part of it."""
        return self.media not in ("", "compositeCapture")

    @property
    def name(self) -> str:
        """What its files are called, without extension: unique in the export, and may hold slashes."""
        return self.stem or self.key

    def upright_png(self) -> bytes:
        """The RGB image in the size of the masks."""
        if self.original is None or not self.original.scaled:
            return self.image_png
        return encode_rgb_png(look_at(self.original.data, MAX_PIXELS).pixels)


@dataclass(frozen=True)
class Instance:
    """One object.

    Attributes:
        number: its instance id.
        category: class id, 1…N.
        pixels: bool array of shape ``(height, width)``.
        box: x, y, width, height in pixels of the smallest rectangle around the pixels.
        area: number of pixels.
    """

    number: int
    category: int
    pixels: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True)
class Labels:
    """A sample's decoded labels: two uint8 arrays of shape ``(height, width)``."""

    mask: NDArray[np.uint8]
    instances: NDArray[np.uint8]

    @property
    def width(self) -> int:
        return int(self.mask.shape[1])

    @property
    def height(self) -> int:
        return int(self.mask.shape[0])

    def count(self) -> int:
        """How many :meth:`objects` there are."""
        return len({*np.unique(self.instances).tolist()} - {BACKGROUND, VOID})

    def objects(self) -> Iterator[Instance]:
        """The instances in the order of their ids; void pixels belong to none."""
        for number in np.unique(self.instances):
            if number in (BACKGROUND, VOID):
                continue
            pixels = self.instances == number
            area = int(np.count_nonzero(pixels))
            yield Instance(int(number), self._category(pixels), pixels, box_of(pixels), area)

    def _category(self, pixels: NDArray[np.bool_]) -> int:
        votes = np.bincount(self.mask[pixels], minlength=256)
        votes[[BACKGROUND, VOID]] = 0
        return int(votes.argmax())


def box_of(pixels: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The smallest rectangle around the pixels that are on.

    Args:
        pixels: bool array of shape ``(height, width)``.

    Returns:
        x, y, width, height in pixels.

    Raises:
        IndexError: no pixel is on.
    """
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def read_labels(sample: ExportSample, classes: int) -> Labels:
    """Decode a sample's masks and check that they fit each other, the image and the class list.

    Raises:
        DsfactoryError: they do not, which only a fault in an earlier stage can cause.
    """
    labels = Labels(decode_index_png(sample.mask_png), decode_index_png(sample.instances_png))
    with Image.open(io.BytesIO(sample.image_png), formats=("PNG",)) as image:
        size = image.size if sample.original is None else sample.original.size
    sizes = {size, (labels.width, labels.height), labels.instances.shape[::-1]}
    if len(sizes) > 1:
        raise DsfactoryError(f"sample {sample.key}: image, mask and instances differ in size: {sorted(sizes)}")
    largest = int(np.max(labels.mask, where=labels.mask != VOID, initial=BACKGROUND))
    if largest > classes:
        raise DsfactoryError(f"sample {sample.key}: the mask has class id {largest}, the last class is {classes}")
    inside = (labels.instances != BACKGROUND) & (labels.instances != VOID)
    if np.any(inside & ((labels.mask == BACKGROUND) | (labels.mask == VOID))):
        raise DsfactoryError(f"sample {sample.key}: an instance covers pixels that have no class")
    return labels
