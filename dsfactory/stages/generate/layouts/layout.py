"""A layout: class and object ids per pixel, as two PNGs."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png, encode_index_png
from dsfactory.core.sample import BACKGROUND, LAYOUT, OBJECTS, VOID

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """Where objects are to be.

    Attributes:
        name: what a user knows it by.
        classes: names of its classes, the one that covers most first.
        mask: PNG of class ids, 0 background, 255 void: there, nothing is asked for.
        objects: PNG of object ids from 1, 0 background, 255 void.
    """

    name: str
    classes: tuple[str, ...]
    mask: bytes
    objects: bytes

    @classmethod
    def of(cls, name: str, mask: Labels, objects: Labels, classes: Sequence[str]) -> "Layout":
        """A layout of two images of ids; the first of ``classes`` has id 1."""
        areas = np.bincount(mask[(mask != BACKGROUND) & (mask != VOID)], minlength=1)
        order = sorted(np.flatnonzero(areas).tolist(), key=lambda number: -int(areas[number]))
        shown = tuple(classes[number - 1] for number in order)
        return cls(name, shown, encode_index_png(mask), encode_index_png(objects))

    @property
    def files(self) -> dict[str, bytes]:
        """As the files of a sample."""
        return {LAYOUT: self.mask, OBJECTS: self.objects}


@dataclass(frozen=True)
class Placed:
    """A layout in the size of the image.

    Attributes:
        mask: uint8 ``(height, width)``, class ids, 0 background, 255 void.
        objects: uint8, the same shape, object ids from 1.
    """

    mask: Labels
    objects: Labels

    @classmethod
    def of(cls, files: dict[str, bytes], width: int, height: int) -> "Placed":
        """The layout of a sample, scaled to fit into the image; what it does not cover is void, never stretched.

        Raises:
            ValueError: the files are no two images of one size.
        """
        mask, objects = decode_index_png(files[LAYOUT]), decode_index_png(files[OBJECTS])
        if mask.shape != objects.shape:
            raise ValueError(f"{LAYOUT} and {OBJECTS} differ in size")
        return cls(_fit(mask, width, height), _fit(objects, width, height))

    @property
    def files(self) -> dict[str, bytes]:
        """As the files of a sample."""
        return {LAYOUT: encode_index_png(self.mask), OBJECTS: encode_index_png(self.objects)}

    def classes_of_objects(self) -> dict[int, int]:
        """The class id of each object."""
        numbers = np.unique(self.objects[(self.objects != BACKGROUND) & (self.objects != VOID)])
        return {int(number): int(self.mask[self.objects == number][0]) for number in numbers}


def _fit(image: Labels, width: int, height: int) -> Labels:
    rows, columns = image.shape
    if (rows, columns) == (height, width):
        return image
    scale = min(width / columns, height / rows)
    inner = max(1, round(columns * scale)), max(1, round(rows * scale))
    scaled = cv2.resize(image, inner, interpolation=cv2.INTER_NEAREST_EXACT)
    placed = np.full((height, width), VOID, np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    placed[top : top + inner[1], left : left + inner[0]] = scaled
    return placed
