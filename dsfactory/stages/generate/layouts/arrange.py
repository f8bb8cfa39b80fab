"""Layouts made of shapes: random blobs, or the objects of a labelled set, moved, scaled and flipped."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Shape = NDArray[np.bool_]
"""An object's pixels in its own box."""

MAX_HIDDEN = 0.3
"""Largest share of an object that a later one may cover."""

TRIES = 20
"""Places that are tried for an object before it is left out."""


def blob(random: np.random.Generator, side: int = 128) -> Shape:
    """A smooth random shape: an ellipse whose outline is bent by three waves."""
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones_like(angles)
    for wave in (2, 3, 4):
        radius += random.uniform(0, 0.25 / (wave - 1)) * np.cos(wave * angles + random.uniform(0, 2 * np.pi))
    aspect = np.exp(random.uniform(-0.4, 0.4))
    outline = np.stack([radius * np.cos(angles) * aspect, radius * np.sin(angles) / aspect], axis=1)
    low, high = outline.min(0), outline.max(0)
    pixels = ((outline - low) / (high - low).max() * (side - 1)).round().astype(np.int32)
    image = np.zeros((side, side), np.uint8)
    cv2.fillPoly(image, [pixels], 1)
    return trimmed(image > 0)


def trimmed(shape: Shape) -> Shape:
    """A shape without empty rows and columns around it."""
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    return shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def arrange(
    shapes: Sequence[tuple[int, Shape]],
    size: tuple[int, int],
    area: tuple[float, float],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Put shapes into an image, each in a size and a place of its own; a later one covers an earlier one a little.

    Args:
        shapes: class id and shape of each object; the first is always placed.
        size: height and width.
        area: least and largest share of the image that one covers; shared out where there are several.
        random: decides size, mirror and place.

    Returns:
        Class ids and object ids, uint8 ``(height, width)``, 0 background.
    """
    height, width = size
    mask, objects = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    pixels: dict[int, int] = {}
    for label, shape in shapes:
        for _ in range(TRIES):
            share = random.uniform(*area) / (len(shapes) ** 0.5 if len(shapes) > 1 else 1)
            placed = _scaled(shape, share * height * width, size, random.random() < 0.5)
            top = random.integers(height - placed.shape[0] + 1)
            left = random.integers(width - placed.shape[1] + 1)
            window = (slice(top, top + placed.shape[0]), slice(left, left + placed.shape[1]))
            covered = np.bincount(objects[window][placed], minlength=256)
            left_over = {number: count - int(covered[number]) for number, count in pixels.items()}
            if all(left_over[number] >= (1 - MAX_HIDDEN) * count for number, count in pixels.items()):
                number = len(pixels) + 1
                pixels = {**pixels, number: int(placed.sum())}
                mask[window][placed], objects[window][placed] = label, number
                break
    return mask, objects


def _scaled(shape: Shape, pixels: float, size: tuple[int, int], mirrored: bool) -> Shape:
    """A shape with about this many pixels, no larger than the image."""
    factor = (pixels / max(1, int(shape.sum()))) ** 0.5
    factor = min(factor, size[0] / shape.shape[0], size[1] / shape.shape[1])
    rows, columns = (max(1, min(limit, int(side * factor))) for side, limit in zip(shape.shape, size, strict=True))
    image = shape.astype(np.uint8)[:, ::-1] if mirrored else shape.astype(np.uint8)
    scaled = cv2.resize(np.ascontiguousarray(image), (columns, rows), interpolation=cv2.INTER_AREA)
    return trimmed(scaled > 0) if scaled.any() else np.ones((1, 1), np.bool_)
