"""Fusing attention maps of several resolutions into one map per class."""

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Grid = tuple[int, int]
Maps = Mapping[Grid, NDArray[np.floating]]
"""Grid ``(h, w)`` to an array of shape ``(classes, h, w)``, raw attention probabilities."""


def fuse_maps(maps: Maps, size: tuple[int, int], weights: Mapping[int, float]) -> NDArray[np.float32]:
    """Attention maps averaged over resolutions, stretched to [0, 1].

    Takes the arguments of :func:`average_maps`.

    Returns:
        float32 array of shape ``(classes, height, width)`` in [0, 1]; all zero for a class without any evidence.
    """
    return stretch(average_maps(maps, size, weights))


def average_maps(maps: Maps, size: tuple[int, int], weights: Mapping[int, float]) -> NDArray[np.floating]:
    """Average attention maps over resolutions (DiffuMask, Wu et al. 2023, section 3.2).

    Every resolution is divided by its own maximum per class, resized to the image bilinearly and averaged. Coarse
    layers blur more than they tell, so each resolution has a weight.

    Args:
        maps: at least one resolution.
        size: ``(height, width)`` of the image.
        weights: side of a square grid to its weight. A non-square grid counts as the power of two nearest to the
            geometric mean of its sides. Grids without a positive weight are left out; when that leaves none, the
            finest counts alone.

    Returns:
        Array of shape ``(classes, height, width)`` in [0, 1].
    """
    used = [(grid, weight) for grid in sorted(maps) if (weight := weights.get(nominal_side(grid), 0.0)) > 0.0]
    if not used:
        used = [(max(maps, key=math.prod), 1.0)]
    resized = [resize_maps(_over_maximum(maps[grid]), size) for grid, _ in used]
    averaged: NDArray[np.floating] = np.average(resized, axis=0, weights=[weight for _, weight in used])
    return averaged


def contrasts(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """How far maps of shape ``(classes, h, w)``, at least 0, fall below their maximum.

    Returns:
        One minus the lowest value over the highest, float32 of shape ``(classes,)`` in [0, 1]; 0 for a flat map.
    """
    lowest, highest = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))
    ratio = np.divide(lowest, highest, out=np.ones_like(lowest), where=highest > 0.0)
    return np.asarray(1.0 - ratio, dtype=np.float32)


def stretch(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Maps of shape ``(classes, h, w)``, each stretched to [0, 1] as float32; a flat map becomes zero."""
    return _over_maximum(maps - maps.min(axis=(1, 2), keepdims=True))


def nominal_side(grid: Grid) -> int:
    """The power of two nearest to the geometric mean of a grid's sides: 16 for 16×16, 12×20 and 14×16.

    Of two that are as near, the lower: 8 for 8×16, so that the grids of a picture twice as wide as high keep apart.
    """
    return 1 << math.ceil(math.log2(math.prod(grid)) / 2 - 0.5)


def resize_maps(maps: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize maps of shape ``(classes, h, w)`` to ``size = (height, width)`` bilinearly, as float32."""
    height, width = size
    resized = [cv2.resize(one.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) for one in maps]
    return np.asarray(resized, dtype=np.float32)


def peaks(maps: Maps) -> NDArray[np.float32]:
    """The highest raw attention probability of each class over all resolutions, shape ``(classes,)``."""
    return np.asarray(np.max([grid_maps.max(axis=(1, 2)) for grid_maps in maps.values()], axis=0), dtype=np.float32)


def _over_maximum(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    maximum = maps.max(axis=(1, 2), keepdims=True)
    scaled = np.zeros(maps.shape, dtype=np.float32)
    np.divide(maps, maximum, out=scaled, where=maximum > 0.0, casting="same_kind")
    return scaled
