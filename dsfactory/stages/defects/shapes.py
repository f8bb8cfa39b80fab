"""Shapes of flaws: float32 maps from 0 to 1, with soft edges."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Region = NDArray[np.bool_]
FEATHER = 0.8
"""Standard deviation in pixels by which edges are softened."""


def perlin(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> Map:
    """Noise that changes smoothly, mean 0, about −1 to 1, float32 ``shape`` (Perlin 1985).

    Args:
        shape: height and width.
        cells: of the grid, along the shorter side.
        rng: draws the gradients.
    """
    height, width = shape
    unit = min(shape) / cells
    rows, columns = int(np.ceil(height / unit)) + 1, int(np.ceil(width / unit)) + 1
    angles = rng.uniform(0, 2 * np.pi, (rows + 1, columns + 1))
    across, down = np.cos(angles), np.sin(angles)
    y, x = np.arange(height)[:, None] / unit, np.arange(width)[None] / unit
    i, j = y.astype(int), x.astype(int)
    fy, fx = y - i, x - j

    def corner(a: int, b: int) -> NDArray[np.float64]:
        return np.asarray(across[i + a, j + b] * (fx - b) + down[i + a, j + b] * (fy - a))

    sy, sx = (t * t * t * (t * (6 * t - 15) + 10) for t in (fy, fx))
    top = corner(0, 0) * (1 - sx) + corner(0, 1) * sx
    bottom = corner(1, 0) * (1 - sx) + corner(1, 1) * sx
    return np.asarray((top * (1 - sy) + bottom * sy) * 1.41, dtype=np.float32)


def draw_shape(name: str, inside: Region, share: float, rng: np.random.Generator) -> Map:
    """A flaw of a shape within a region.

    Args:
        name: line, crack, blob, blotch or edge.
        inside: bool ``(height, width)``: where it may lie; not empty.
        share: of the image that it takes, about.
        rng: draws it.

    Returns:
        float32 ``(height, width)``, 0 outside of the region.
    """
    drawn = _SHAPES[name](inside, share * inside.size, rng)
    soft = cv2.GaussianBlur(drawn, (0, 0), FEATHER)
    return np.where(inside, soft, 0).astype(np.float32)


def _line(inside: Region, area: float, rng: np.random.Generator, branches: int = 0, rough: float = 0.12) -> Map:
    """A walk that bends slowly, of 1 to 6 pixels at 512², thinner at its ends; with branches it is a crack."""
    height, width = inside.shape
    canvas = np.zeros((height, width), np.uint8)
    thick = max(1.0, rng.uniform(1, 6) * max(height, width) / 512)
    length = float(np.clip(area / thick, 6, 0.9 * min(height, width)))
    start = _point(inside, rng)
    heading = rng.uniform(0, 2 * np.pi)
    walks = [(_walk(start, heading, length, rough, rng), thick)]
    for _ in range(branches):
        trunk = walks[0][0]
        at, turn = trunk[rng.integers(len(trunk) // 4, len(trunk))], rng.choice([-1, 1]) * rng.uniform(0.4, 1.1)
        branch = _walk(at, heading + turn, length * rng.uniform(0.2, 0.5), rough, rng)
        walks.append((branch, max(1.0, thick * 0.6)))
    for points, width_here in walks:
        for place, (one, other) in enumerate(pairwise(points)):
            taper = 1 - abs(2 * place / max(1, len(points) - 1) - 1) ** 4
            wide = max(1, round(width_here * (0.4 + 0.6 * taper)))
            ends = [tuple(round(16 * value) for value in point) for point in (one, other)]
            cv2.line(canvas, ends[0], ends[1], 255, wide, cv2.LINE_AA, shift=4)
    return np.asarray(canvas / 255, dtype=np.float32)


def _walk(
    start: tuple[float, float], heading: float, length: float, rough: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    step, points = 3.0, [start]
    bend = 0.0
    for _ in range(max(2, int(length / step))):
        bend = 0.8 * bend + rng.normal(0, rough)
        heading += bend * 0.5 + rng.normal(0, rough * 0.5)
        x, y = points[-1]
        points.append((x + step * np.cos(heading), y + step * np.sin(heading)))
    return points


def _crack(inside: Region, area: float, rng: np.random.Generator) -> Map:
    return _line(inside, area / 2, rng, branches=int(rng.integers(1, 4)), rough=0.35)


def _blob(inside: Region, area: float, rng: np.random.Generator, at: tuple[float, float] | None = None) -> Map:
    """A round thing whose radius wavers."""
    height, width = inside.shape
    x, y = at if at is not None else _point(inside, rng)
    radius, stretch, turn = np.sqrt(area / np.pi), rng.uniform(0.6, 1.6), rng.uniform(0, np.pi)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    dx, dy = columns - x, rows - y
    across = (dx * np.cos(turn) + dy * np.sin(turn)) / np.sqrt(stretch)
    down = (dy * np.cos(turn) - dx * np.sin(turn)) * np.sqrt(stretch)
    angle = np.arctan2(down, across)
    waves = sum(rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 7))
    limit = radius * (1 + waves)
    found: Map = np.clip(limit - np.hypot(across, down) + 0.5, 0, 1).astype(np.float32)
    return found


def _blotch(inside: Region, area: float, rng: np.random.Generator) -> Map:
    """What Perlin noise leaves of a larger round thing: ragged, with islands."""
    whole = _blob(inside, 2.2 * area, rng)
    side = float(np.sqrt(area))
    cells = int(np.clip(2.5 * min(inside.shape) / max(side, 1), 2, min(inside.shape) // 3 or 1))
    noise = perlin((inside.shape[0], inside.shape[1]), cells, rng)
    return np.asarray(whole * np.clip(4 * (noise - rng.uniform(-0.25, 0.1)), 0, 1), dtype=np.float32)


def _edge(inside: Region, area: float, rng: np.random.Generator) -> Map:
    """A bite out of the outline."""
    padded = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    outline = inside & (cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1] == 0)
    return _blob(inside, 2 * area, rng, _point(outline if outline.any() else inside, rng))


def _point(inside: Region, rng: np.random.Generator) -> tuple[float, float]:
    """x and y of a pixel of a region."""
    places = np.flatnonzero(inside)
    row, column = divmod(int(places[rng.integers(len(places))]), inside.shape[1])
    return float(column), float(row)


_SHAPES: dict[str, Callable[[Region, float, np.random.Generator], Map]] = {
    "line": _line, "crack": _crack, "blob": _blob, "blotch": _blotch, "edge": _edge,
}  # fmt: skip
