"""An instance mask as one closed line, holes and parts included: what a YOLO label has room for.

YOLO readers turn a polygon's corners into whole pixels, cut down (Ultralytics) or rounded (supervision, FiftyOne), and
paint them with ``cv2.fillPoly``, which paints the line as well. So the line runs through the mask's border pixels, and
every coordinate lies less than half a pixel above the number of its pixel: both ways give exactly the mask. A reader
that took the coordinates as they stand would lose half a pixel on the right and below.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from dsfactory.dataset.sample import box_of
from dsfactory.formats.polygons import EAST, WEST, border_steps, walk

MARGIN = 0.02
"""How far in pixels coordinates keep from where cutting down and rounding would disagree: more than the rounding of a
label file takes away."""

_LOW, _HIGH = MARGIN, 0.5 - MARGIN
_TO_PIXEL = ((0.0, _LOW), (_HIGH - 1, 0.0), (0.0, _HIGH - 1), (_LOW, 0.0))
"""From a step to the pixels on its right hand, as x and y by heading."""
_RIGHT_TURN, _LEFT_TURN = 1, 3
_BLOCK = 256
"""Points whose distances to all others are in memory at once."""

Points = NDArray[np.float64]


def mask_outline(mask: NDArray[np.bool_]) -> Points:
    """Outline a mask with one closed line.

    A hole is joined to what lies above it by a cut of no width through the mask. Parts that share no pixel edge are
    joined by bridges of no width between their nearest corners: a reader that paints lines sees a line of one pixel
    there, and nothing where the parts touch at a corner.

    Args:
        mask: bool array of shape ``(height, width)``, not empty.

    Returns:
        float64 of shape ``(points, 2)``: x, y in pixels, ``0 <= x < width`` and ``0 <= y < height``; at least four
        points, the first not repeated.
    """
    x, y, width, height = box_of(mask)
    line = _Line()
    parts = _add_rings(line, np.pad(mask[y : y + height, x : x + width], 1))
    points = np.array(line.points)
    _build_bridges(line, points, np.array(parts))
    outline: Points = points[list(line.walk(parts[0]))] + (x - 1, y - 1)
    return outline


@dataclass
class _Line:
    """Rings that hang from each other.

    Attributes:
        points: of all rings, ring by ring.
        rings: the indices of each ring's points.
        entries: the point at which a ring hangs, by ring.
        hanging: rings that hang from a point, by point.
    """

    points: list[tuple[float, float]] = field(default_factory=list)
    rings: list[range] = field(default_factory=list)
    entries: dict[int, int] = field(default_factory=dict)
    hanging: dict[int, list[int]] = field(default_factory=dict)

    def hang(self, ring: int, entry: int, point: int) -> None:
        self.entries[ring] = entry
        self.hanging.setdefault(point, []).append(ring)

    def walk(self, first: int) -> Iterator[int]:
        """Points of a ring and of all that hangs from it, there and back."""
        hanging = dict(self.hanging)
        # A stack instead of recursion: rings may hang in a long chain.
        ways: list[Iterator[int]] = [iter(self.rings[first])]
        while ways:
            point = next(ways[-1], None)
            if point is None:
                ways.pop()
                continue
            yield point
            for ring in hanging.pop(point, ()):
                entry, indices = self.entries[ring], self.rings[ring]
                around = (range(entry, indices.stop), range(indices.start, entry))
                ways.append(chain(*around, [entry, point]))


def _add_rings(line: _Line, region: NDArray[np.bool_]) -> list[int]:
    """Outline a region's 4-connected parts and hang their holes; the region touches no border of its array.

    Returns:
        For each ring the one around its part: itself, or what its hole hangs from in the end.
    """
    width = region.shape[1]
    ways = list(walk(border_steps(region), np.zeros_like(region)))
    owner = {step: ring for ring, steps in enumerate(ways) for step in steps if step % 4 == EAST}
    cuts: dict[int, int] = {}
    above = list(range(len(ways)))
    for ring, steps in enumerate(ways):
        turns = [(step - before) % 4 for before, step in zip(steps, steps[1:] + steps[:1], strict=True)]
        if turns.count(_RIGHT_TURN) > turns.count(_LEFT_TURN):
            continue  # a part; around a hole it is once to the left
        lower = min(step for step in steps if step % 4 == WEST)
        upper = lower - WEST + EAST - 4 * (width + 1)  # the upper edge of the pixel above the hole
        while upper not in owner:
            upper -= 4 * width
        cuts[lower] = cuts[upper] = ring
        above[ring] = owner[upper]
    ends: dict[int, list[int]] = {ring: [] for ring in cuts.values()}
    for steps in ways:
        start = len(line.points)
        for before, step in zip(steps[-1:] + steps[:-1], steps, strict=True):
            x, y = step // 4 % width + _TO_PIXEL[step % 4][0], step // 4 // width + _TO_PIXEL[step % 4][1]
            if step % 4 != before % 4:
                line.points.append((x + _TO_PIXEL[before % 4][0], y + _TO_PIXEL[before % 4][1]))
            if step in cuts:
                ends[cuts[step]].append(len(line.points))
                line.points.append((x + (_HIGH if step % 4 == EAST else _HIGH - 1), y))
        line.rings.append(range(start, len(line.points)))
    for ring, (one, other) in ends.items():
        entry, point = (one, other) if one in line.rings[ring] else (other, one)
        line.hang(ring, entry, point)
    return [_last(above, ring) for ring in range(len(ways))]


def _last(above: list[int], ring: int) -> int:
    while above[ring] != ring:
        ring = above[ring]
    return ring


def _build_bridges(line: _Line, points: Points, part_of_ring: NDArray[np.int64]) -> None:
    """Hang each part on what is nearest to it among those joined before, nearest first (Prim's algorithm)."""
    lengths = [len(ring) for ring in line.rings]
    part_of = np.repeat(part_of_ring, lengths)
    waiting = np.repeat(part_of_ring == np.arange(len(line.rings)), lengths)  # a hole is hung on its part already
    distance = np.full(len(points), np.inf)
    nearest = np.zeros(len(points), dtype=np.int64)
    current = part_of[0]
    for _ in range(len(np.unique(part_of_ring)) - 1):
        waiting &= part_of != current
        distance[~waiting] = np.inf
        others, members = np.flatnonzero(waiting), np.flatnonzero(part_of == current)
        for ends in np.split(members, range(_BLOCK, len(members), _BLOCK)):
            apart = np.hypot(*(points[others, None] - points[ends]).transpose(2, 0, 1))
            closest = apart.argmin(axis=1)
            closest_apart = apart[np.arange(len(others)), closest]
            nearer = closest_apart < distance[others]
            distance[others[nearer]] = closest_apart[nearer]
            nearest[others[nearer]] = ends[closest[nearer]]
        landing = int(distance.argmin())
        current = part_of[landing]
        line.hang(int(current), landing, int(nearest[landing]))
