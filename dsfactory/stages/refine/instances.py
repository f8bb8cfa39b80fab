"""Telling objects of one class apart that touch: by the necks between them, and by edges of self-attention.

Connected parts join two dogs that touch. Here a part is flooded from its thickest places downwards, as in a watershed
(Vincent and Soille 1991): where two floods meet, the part has a neck. How thick the neck is beside the thinner of the
two says how sure it is that there are two (persistence, Edelsbrunner et al. 2002). Edges of self-attention (TRACE, ICLR
2026) count as thinner places.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.stages.refine.clean import components

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
Parts = NDArray[np.int32]
"""Numbers of parts from 1, shape ``(height, width)``; 0 outside."""

SIDE = 96
"""Longer side in cells at which a part is looked at."""
BLUR = 1.5
"""Of its thickness, in these cells."""
NECK = 0.9
"""A neck is thinner than this share of the thinner of its two sides."""
ASKED_NECK = 0.97
"""The same where somebody has said how many objects there are: of more necks than that needs, the thinnest count."""
SMALLEST = 0.12
"""Share of a part that an object has at least; and of the largest part, one that counts."""
EDGE_WEIGHT = 0.3
"""What the strongest edge of self-attention takes from the thickness, as a share of the part's greatest."""


@dataclass
class _Peaks:
    """What a flood finds; lists hold a value per peak, the highest of all first.

    Attributes:
        basins: the peak that each cell belongs to, shape ``(height, width)``; -1 outside.
        into: whose basin each one's flood meets first, of a flood with a higher peak; of the first its own number.
        necks: height of the place where they meet, as a share of the peak's own.
    """

    basins: Parts
    into: list[int]
    necks: list[float]


_Part = tuple[tuple[slice, slice], Mask, _Peaks]
"""Where a connected part is, its pixels there, and what flooding finds."""


def split_mask(mask: Mask, edges: Float | None = None, most: int | None = None) -> Parts:
    """The objects of one class.

    Args:
        mask: the class's pixels, boolean ``(height, width)``.
        edges: of self-attention, same shape, in [0, 1]; None to go by the shape alone.
        most: how many objects there are at most, unless there are more connected parts that are no scraps; None when
            nobody has said.
    """
    parts, stats = components(mask)
    found = np.zeros(mask.shape, np.int32)
    looked: list[_Part] = []
    for part in range(1, len(stats)):
        x, y, width, height = (int(value) for value in stats[part, : cv2.CC_STAT_AREA])
        window = (slice(y, y + height), slice(x, x + width))
        looked.append((window, parts[window] == part, _flood(*_height(parts[window] == part, edges, window))))
    limit = NECK if most is None else _asked_limit(looked, most)
    total = 0
    for window, own, peaks in looked:
        names = cv2.resize(_kept(peaks, limit) + 1, own.shape[::-1], interpolation=cv2.INTER_NEAREST)
        names = _filled(np.where(own, names, 0), own)
        found[window][own] = names[own] + total
        total += int(names.max())
    return found


def _asked_limit(parts: list[_Part], most: int) -> float:
    """The thickest neck that parts objects when there are so many, unless more are apart anyway."""
    largest = max((np.count_nonzero(own) for _, own, _ in parts), default=0)
    real = [peaks for _, own, peaks in parts if np.count_nonzero(own) >= SMALLEST * largest]
    limit = 0.0
    for neck in sorted({neck for peaks in real for neck in peaks.necks[1:] if neck < ASKED_NECK}):
        longer = float(np.nextafter(neck, 1.0))
        if sum(int(_kept(peaks, longer).max()) + 1 for peaks in real) > max(most, len(real)):
            break
        limit = longer
    return limit


def _height(own: Mask, edges: Float | None, window: tuple[slice, slice]) -> tuple[Mask, Float]:
    """A part in cells, and its thickness there, the greatest 1, less the edges."""
    scale = min(1.0, SIDE / max(own.shape))
    size = max(1, round(own.shape[1] * scale)), max(1, round(own.shape[0] * scale))
    small = cv2.resize(own.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    if not small.any():  # too thin for any cell
        small[:] = 1
    small = np.pad(small, 1)
    thick = cv2.GaussianBlur(cv2.distanceTransform(small, cv2.DIST_L2, 5), (0, 0), BLUR)
    height = np.asarray(thick[1:-1, 1:-1] / max(float(thick.max()), 1e-6), dtype=np.float32)
    if edges is not None:
        height -= EDGE_WEIGHT * np.asarray(cv2.resize(edges[window], size, interpolation=cv2.INTER_LINEAR), np.float32)
    inside = small[1:-1, 1:-1] > 0
    return inside, height - height[inside].min() + np.float32(1e-3)


def _flood(inside: Mask, height: Float) -> _Peaks:
    """Take the cells from the highest to the lowest; one that touches none of those before is a peak."""
    rows, columns = inside.shape
    levels, cells = height.ravel().tolist(), np.flatnonzero(inside)
    order = cells[np.argsort(-height.ravel()[cells], kind="stable")].tolist()
    basin = [-1] * inside.size
    into: list[int] = []
    necks: list[float] = []
    tops: list[float] = []
    joined: list[int] = []  # towards the highest peak of the same flood

    def root(peak: int) -> int:
        while joined[peak] != peak:
            joined[peak] = joined[joined[peak]]
            peak = joined[peak]
        return peak

    for cell in order:
        row, column = divmod(cell, columns)
        around = (
            cell - 1 if column > 0 else cell,
            cell + 1 if column < columns - 1 else cell,
            cell - columns if row > 0 else cell,
            cell + columns if row < rows - 1 else cell,
        )
        near = sorted(((levels[other], basin[other]) for other in around if basin[other] >= 0), reverse=True)
        if not near:
            basin[cell] = len(tops)
            into.append(len(tops))
            joined.append(len(tops))
            tops.append(levels[cell])
            necks.append(0.0)
            continue
        basin[cell] = near[0][1]
        highest = min(root(peak) for _, peak in near)  # peaks are numbered from the highest
        touched = next(peak for _, peak in near if root(peak) == highest)
        for _, peak in near:
            lower = root(peak)
            if lower != highest:
                into[lower], necks[lower], joined[lower] = touched, levels[cell] / tops[lower], highest
    for lone in range(1, len(tops)):
        if into[lone] == lone:  # cells that lost touch with the others
            into[lone], necks[lone] = 0, 1.0
    return _Peaks(np.array(basin, np.int32).reshape(inside.shape), into, necks)


def _kept(peaks: _Peaks, limit: float) -> Parts:
    """The cells' objects from 0, -1 outside, when necks under a limit part them; small ones join what they touch."""
    kept = [number == 0 or neck < limit for number, neck in enumerate(peaks.necks)]
    inside = peaks.basins >= 0
    while True:
        owner = np.array([_owner(number, kept, peaks.into) for number in range(len(kept))], np.int32)
        objects = np.where(inside, owner[np.maximum(peaks.basins, 0)], -1)
        counts = np.bincount(objects[inside], minlength=len(kept))
        small = [number for number in np.flatnonzero(kept)[1:] if counts[number] < SMALLEST * counts.sum()]
        if not small:
            break
        kept[max(small)] = False
    names = np.cumsum(kept, dtype=np.int32) - 1
    return np.where(inside, names[np.maximum(objects, 0)], -1).astype(np.int32)


def _owner(number: int, kept: list[bool], into: list[int]) -> int:
    while not kept[number]:
        number = into[number]
    return number


def _filled(names: Parts, own: Mask) -> Parts:
    """Pixels of a part that no cell stands for get the name of the nearest that one does; 0 is none."""
    if not (own & (names == 0)).any():
        return names.astype(np.int32)
    named = names > 0
    if not named.any():
        return own.astype(np.int32)
    _, nearest = cv2.distanceTransformWithLabels(
        (~named).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(nearest.max() + 1, np.int32)
    table[nearest[named]] = names[named]
    return np.where(own, table[nearest], 0).astype(np.int32)
