"""Instance masks as polygons that rasterise back to exactly the same pixels.

COCO polygons live in a plane where pixel ``(x, y)`` covers the square from ``(x, y)`` to ``(x + 1, y + 1)``, and a
reader asks on which side of the polygon the pixel's centre lies. ``cv2.findContours`` runs through the centres of
the border pixels instead, which takes half a pixel off all round. So the rings here follow the cracks between pixels.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.dataset.sample import box_of

SLIT = 0.25
"""Half the width in pixels of the slit that opens a hole: wide enough for two distinct sides, too narrow to touch a
pixel's centre, which is 0.5 away."""

EAST, SOUTH, WEST, NORTH = range(4)
_STEP = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])


def mask_polygons(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Outline a mask as polygons without holes.

    One ring for each 8-connected part. Readers unite the polygons of an annotation, so a hole cannot be a ring of its
    own: a slit half a pixel wide joins it to the outline above. Each ring is a valid simple polygon, clockwise as seen
    on a screen.

    Args:
        mask: bool array of shape ``(height, width)``, not empty.

    Returns:
        Rings in the order of their first pixel, each float64 of shape ``(points, 2)``: x, y in pixels, multiples of
        0.25 with ``0 <= x <= width`` and ``0 <= y <= height``; at least four points, the first not repeated.
    """
    x, y, width, height = box_of(mask)
    region = np.pad(mask[y : y + height, x : x + width], 1)
    steps, slit, joints = _steps(region)
    origin = np.array([x - 1, y - 1], dtype=np.float64)
    return [_ring(np.array(way), slit) + origin for way in walk(steps, joints)]


def walk(steps: NDArray[np.bool_], joints: NDArray[np.bool_]) -> Iterator[list[int]]:
    """Follow steps around until each is walked once.

    Args:
        steps: bool array of shape ``(height, width, 4)``: which steps there are, by start corner and heading.
        joints: bool array of shape ``(height, width)``: corners where the way leads over to a diagonal neighbour.

    Yields:
        Closed ways in the order of their first step east, each step as ``4 * (y * width + x) + heading``.
    """
    offsets = (1, steps.shape[1], -1, -steps.shape[1])
    # Bytes and plain integers: this loop visits every border pixel, and indexing an array costs ten times as much.
    starts = np.flatnonzero(steps[:, :, EAST]).tolist()
    waiting = bytearray(steps.tobytes())
    is_joint = joints.tobytes()
    for start in starts:
        if not waiting[4 * start + EAST]:
            continue
        corner, heading = start, EAST
        walked: list[int] = []
        while waiting[4 * corner + heading]:
            waiting[4 * corner + heading] = 0
            walked.append(4 * corner + heading)
            corner += offsets[heading]
            # Right before straight before left hugs the pixels in hand; at a joint, left leads over to the others.
            for turn in (3, 1) if is_joint[corner] else (1, 0, 3):
                following = 4 * corner + (heading + turn) % 4
                if waiting[following] or following == walked[0]:
                    heading = (heading + turn) % 4
                    break
        yield walked


def _steps(region: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """All steps around a region ``(height, width)``; corner ``(x, y)`` is the upper left one of pixel ``(x, y)``.

    Returns:
        Bool arrays: the steps ``(height, width, 4)`` by start corner and heading; those of them that run along a slit;
        and the corners ``(height, width)`` where two pixels touch that belong to one part.
    """
    above, before, diagonal = (np.zeros_like(region) for _ in range(3))
    above[1:], before[:, 1:], diagonal[1:, 1:] = region[:-1], region[:, :-1], region[:-1, :-1]
    steps = border_steps(region)
    joints = (region & diagonal & ~above & ~before) | (~region & ~diagonal & above & before)
    slit = np.zeros_like(steps)
    for x, y in _hole_corners(region):
        if joints[y, x]:
            # The hole touches other background here: part the two pixels instead, which opens it.
            joints[y, x] = False
        while region[y - 1, x - 1] and region[y - 1, x]:
            slit[y, x, NORTH] = slit[y - 1, x, SOUTH] = True
            y -= 1
    return steps | slit, slit, joints


def border_steps(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bool array ``(height, width, 4)``: the steps around a region's pixels, which touch no border of the array."""
    above, before = np.zeros_like(region), np.zeros_like(region)
    above[1:], before[:, 1:] = region[:-1], region[:, :-1]
    steps = np.zeros((*region.shape, 4), dtype=bool)
    steps[:, :, EAST] = region & ~above
    steps[:, :, SOUTH] = before & ~region
    steps[:, 1:, WEST] = (above & ~region)[:, :-1]
    steps[1:, :, NORTH] = (region & ~before)[:-1]
    return steps


def _hole_corners(region: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The upper left corner ``(x, y)`` of each hole's first pixel; holes are 4-connected."""
    count, labels = cv2.connectedComponents((~region).astype(np.uint8), connectivity=4)
    if count == 2:  # the region and the background around it
        return []
    found, first = np.unique(labels, return_index=True)
    holes = first[(found != 0) & (found != labels[0, 0])]
    return [(int(index % region.shape[1]), int(index // region.shape[1])) for index in holes]


def _ring(way: NDArray[np.int64], slit: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The way around one part as few points: a rectangle keeps its corners, else it runs through the steps' middles.

    Args:
        way: int64 ``(steps,)``, each step as :func:`walk` gives it, the part on the right hand.
        slit: bool ``(height, width, 4)``, True for steps with the part on both sides.
    """
    width = slit.shape[1]
    corners, headings = np.stack([way // 4 % width, way // 4 // width], axis=1), way % 4
    turns = headings != np.roll(headings, 1)
    if np.count_nonzero(turns) == 4:
        return np.asarray(corners[turns], dtype=np.float64)
    # A staircase becomes a slope, which still passes every pixel's centre by 0.35.
    ring: NDArray[np.float64] = corners + _STEP[headings] / 2
    opened = slit.reshape(-1)[way]
    ring[opened] += SLIT * _STEP[(headings[opened] + 1) % 4]
    arriving, leaving = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return np.compress(arriving[:, 0] * leaving[:, 1] != arriving[:, 1] * leaving[:, 0], ring, axis=0)
