"""Tidying label images: small parts, holes, uncertain pixels, instances."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID

Labels = NDArray[np.uint8]
"""Label image of shape ``(height, width)``: class ids, 0 background, 255 void."""

REFERENCE_AREA = 512 * 512
"""Pixel limits are given for an image of this many pixels, and scaled with the area of the image at hand."""


def scaled_limit(pixels: float, shape: tuple[int, ...]) -> float:
    """A limit in pixels of a 512² image, in pixels of an image of this shape."""
    return pixels * shape[0] * shape[1] / REFERENCE_AREA


def drop_small_parts(labels: Labels, min_box: float) -> Labels:
    """Turn parts into background whose bounding box is small (DiffuMask: under 1500 px of 512²).

    Args:
        labels: label image.
        min_box: smallest box area to keep, in pixels of this image.

    Returns:
        A new label image. Void is left alone.
    """
    cleaned = labels.copy()
    for class_id in ids_in(labels):
        parts, stats = components(labels == class_id)
        boxes = stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]
        small = boxes < min_box
        small[0] = False
        if small.any():
            cleaned[small[parts]] = BACKGROUND
    return cleaned


def fill_holes(labels: Labels, max_hole: float) -> Labels:
    """Give background that a class encloses to that class.

    Args:
        labels: label image.
        max_hole: largest hole to fill, in pixels of this image.

    Returns:
        A new label image. A hole is a part of the background (4-connected) that touches neither the image's border nor
        void, and borders on one class only.
    """
    filled = labels.copy()
    parts, stats = components(labels == BACKGROUND, connectivity=4)
    height, width = labels.shape
    for part in range(1, len(stats)):
        x, y, w, h, area = stats[part]
        if area > max_hole or x == 0 or y == 0 or x + w == width or y + h == height:
            continue
        window = (slice(y - 1, y + h + 1), slice(x - 1, x + w + 1))
        hole = (parts[window] == part).astype(np.uint8)
        rim = cv2.dilate(hole, np.ones((3, 3), np.uint8)).astype(bool) & ~hole.astype(bool)
        neighbours = np.unique(labels[window][rim & (labels[window] != BACKGROUND)])
        if len(neighbours) == 1 and neighbours[0] != VOID:
            filled[window][hole.astype(bool)] = neighbours[0]
    return filled


def ids_in(labels: Labels) -> list[int]:
    """The classes, or the instances, present in an image of them, ascending; background and void are none."""
    counts = cv2.calcHist([labels], [0], None, [VOID + 1], [0, VOID + 1])  # np.unique would sort the pixels
    return [int(value) for value in np.flatnonzero(counts) if value not in (BACKGROUND, VOID)]


Parting = Callable[[int, NDArray[np.bool_]], NDArray[np.int32]]
"""From a class and its pixels to the numbers of its objects from 1, int32 ``(height, width)``, 0 outside."""


def label_instances(labels: Labels, parting: Parting | None = None) -> tuple[Labels, dict[int, int]]:
    """Number the objects of all classes.

    Args:
        labels: label image.
        parting: what the objects of a class are; its connected parts by default.

    Returns:
        ``(instances, counts)``: a uint8 image with ids 1, 2 … in row-major order of each object's first pixel, 0
        background and 255 void; and the number of objects of each class present.

    Raises:
        ValueError: there are more than 254 objects.
    """
    found: list[tuple[int, int, int]] = []
    parts_of: dict[int, NDArray[np.int32]] = {}
    for class_id in ids_in(labels):
        mask = labels == class_id
        parts = parts_of[class_id] = components(mask)[0] if parting is None else parting(class_id, mask)
        inside = np.flatnonzero(parts)
        first = np.zeros(parts.max() + 1, np.int64)
        first[parts.ravel()[inside[::-1]]] = inside[::-1]  # of several the last one written stays
        found += [(int(first[part]), class_id, part) for part in range(1, len(first))]
    if len(found) >= VOID:
        raise ValueError(f"the mask falls into {len(found)} parts, an instance image holds {VOID - 1}")
    tables = {class_id: np.zeros(parts.max() + 1, dtype=np.uint8) for class_id, parts in parts_of.items()}
    for number, (_, class_id, part) in enumerate(sorted(found), start=1):
        tables[class_id][part] = number
    instances = np.where(labels == VOID, np.uint8(VOID), np.uint8(0))
    for class_id, parts in parts_of.items():
        instances += tables[class_id][parts]
    return instances, {class_id: len(table) - 1 for class_id, table in tables.items()}


def set_void(labels: Labels, instances: Labels, where: NDArray[np.bool_]) -> tuple[Labels, Labels]:
    """Turn pixels into void, in both images.

    Args:
        labels: label image.
        instances: of :func:`label_instances`.
        where: boolean, of the same shape.

    Returns:
        A new label image and new instances. An object that is cut in pieces stays one object; one that loses all its
        pixels leaves no gap in the ids.
    """
    labels, instances = np.where(where, np.uint8(VOID), labels), np.where(where, np.uint8(VOID), instances)
    left = ids_in(instances)
    numbers = np.zeros(VOID + 1, dtype=np.uint8)
    numbers[left] = np.arange(1, len(left) + 1)
    numbers[VOID] = VOID
    return labels, numbers[instances]


def components(mask: NDArray[np.bool_], connectivity: int = 8) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number of each pixel's connected part (0 outside the mask) and, per number, OpenCV's box and area."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
    return np.asarray(parts, dtype=np.int32), np.asarray(stats, dtype=np.int32)
