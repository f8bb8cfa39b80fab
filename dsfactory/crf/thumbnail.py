"""Some of a picture's pixels, on which most of the mask stage's work is done."""

from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.crf.crf_cpu import CpuFilters
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.lattice_cpu import Ints

THUMBNAIL_SIDE = 192
"""Longer side in pixels; smaller pictures are taken whole."""

PlaneT = TypeVar("PlaneT", bound=NDArray)  # type: ignore[type-arg]  # of any dtype


class Thumbnail:
    """Evenly spaced pixels of a picture, with the dense CRF's filters among them.

    Single pixels, not averages: averaged colours at edges belong to neither side.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        kernels: widths in pixels of the image.
        side: most pixels of the longer side; None for all.

    Attributes:
        factor: the thumbnail's size as a share of the image's, at most 1.
    """

    def __init__(self, image: NDArray[np.uint8], kernels: Kernels, side: int | None = THUMBNAIL_SIDE) -> None:
        height, width = image.shape[:2]
        self.factor = 1.0 if side is None else min(1.0, side / max(height, width))
        self._size = height, width
        self._at = np.ix_(_spaced(height, self.factor), _spaced(width, self.factor))
        self.image: NDArray[np.uint8] = np.ascontiguousarray(image[self._at])
        self.kernels = kernels.scaled(self.factor)
        """Widths in pixels of the thumbnail."""

    @cached_property
    def filters(self) -> CpuFilters:
        """The CRF's filters, made when they are first asked for."""
        return CpuFilters(self.image, self.kernels)

    def pick(self, planes: PlaneT) -> PlaneT:
        """The thumbnail of planes ``(planes, height, width)``."""
        return np.stack([plane[self._at] for plane in planes])  # type: ignore[return-value]

    def enlarge(self, plane: PlaneT) -> PlaneT:
        """A plane of the thumbnail, or its image, at the picture's size: each pixel takes the nearest one's value."""
        height, width = self._size
        return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST))  # type: ignore[return-value]


def _spaced(length: int, factor: float) -> Ints:
    """The pixels in the middle of the intervals into which an image's side is parted."""
    count = max(1, round(length * factor))
    return ((np.arange(count) + 0.5) * (length / count)).astype(np.int64)
