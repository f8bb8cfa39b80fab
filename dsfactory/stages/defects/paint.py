"""Painting a flaw into a picture, and the label that follows from what has changed."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.stages.defects.config import DefectsConfig
from dsfactory.stages.defects.shapes import Map, Region, draw_shape, perlin

Picture = NDArray[np.uint8] | NDArray[np.uint16]
"""Grey ``(height, width)`` of 8 or 16 bits, or RGB ``(height, width, 3)`` of 8."""

TRIES = 4
"""Shapes that are tried until one can be seen."""
LEAST = 12
"""Pixels that have to change visibly."""


@dataclass(frozen=True)
class Painted:
    """A picture with a flaw, or without.

    Attributes:
        picture: as the clean one, with other values where the mask is not 0.
        mask: uint8 ``(height, width)``: 1 where it has changed visibly, 255 around, else 0.
        strength: how much of the picture was replaced; 0 for a clean one.
    """

    picture: Picture
    mask: NDArray[np.uint8]
    strength: float


def paint(
    clean: Picture, kind: str, inside: Region, config: DefectsConfig, rng: np.random.Generator,
    other: Picture | None = None,
) -> Painted:  # fmt: skip
    """Paint a flaw of a kind.

    Args:
        clean: the picture.
        kind: of the flaw.
        inside: bool ``(height, width)``: where it may lie; not empty.
        config: how.
        rng: draws it.
        other: another clean picture, whose surface may be blended in.

    Returns:
        The picture with the flaw; the clean one, with a mask of zeros, where no shape can be seen.
    """
    largest = _largest(clean)
    values = clean.astype(np.float32) / largest
    for _ in range(TRIES):
        share = float(np.exp(rng.uniform(*np.log(config.size))))
        shape = draw_shape(config.shape_of(kind), inside, share, rng)
        strength = float(rng.uniform(*config.strength))
        surface = (
            _texture(values, other, rng) if config.source == "texture" else _worn(values, shape, kind, config, rng)
        )
        weight = (strength * shape)[(...,) + (None,) * (values.ndim - 2)]
        mixed = np.rint((values + weight * (surface - values)).clip(0, 1) * largest).astype(clean.dtype)
        changed = np.abs(mixed.astype(np.float32) - clean) * 255 / largest > config.visible
        flaw = changed if changed.ndim == 2 else changed.any(axis=2)
        if np.count_nonzero(flaw) < LEAST:
            continue
        ring = (cv2.dilate(flaw.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~flaw
        touched = (flaw | ring)[(...,) + (None,) * (values.ndim - 2)]
        mask = np.where(flaw, 1, np.where(ring, VOID, 0)).astype(np.uint8)
        return Painted(np.where(touched, mixed, clean), mask, strength)
    return Painted(clean, np.zeros(inside.shape, np.uint8), 0.0)


def _largest(picture: Picture) -> float:
    """The value of white: of 16 bits, what the camera's depth can hold."""
    if picture.dtype == np.uint8:
        return 255.0
    from dsfactory.core.png import too_deep

    return float((256 << too_deep(picture.astype(np.uint16))) - 1)


def _texture(values: Map, other: Picture | None, rng: np.random.Generator) -> Map:
    """Another surface: coloured Perlin noise, or a part of another picture, turned and recoloured."""
    height, width = values.shape[:2]
    if other is not None and rng.random() < 0.5:
        turned = np.rot90(other.astype(np.float32) / _largest(other), int(rng.integers(4)))
        found = cv2.resize(np.ascontiguousarray(turned), (width, height), interpolation=cv2.INTER_LINEAR)
        found = np.roll(found, rng.integers(0, (height, width)), axis=(0, 1))
        if found.ndim < values.ndim:
            found = np.repeat(found[..., None], 3, axis=2)
        elif found.ndim > values.ndim:
            found = found.mean(axis=2)
        return np.asarray((found * rng.uniform(0.5, 1.4) + rng.uniform(-0.25, 0.25)).clip(0, 1), dtype=np.float32)
    most = max(3, min(height, width) // 4)
    fine, coarse = (perlin((height, width), int(rng.integers(2, most)), rng) for _ in range(2))
    one, two = rng.uniform(0, 1, (2, *values.shape[2:]))
    blend = np.clip(0.5 + 0.5 * (0.6 * coarse + 0.4 * fine), 0, 1)[(...,) + (None,) * (values.ndim - 2)]
    return np.asarray(one + blend * (two - one), dtype=np.float32)


def _worn(values: Map, shape: Map, kind: str, config: DefectsConfig, rng: np.random.Generator) -> Map:
    """The picture's own surface, changed as the shape suggests: dark in a crack, lit from a side in a dent, else
    darker, lighter or tinted; and rougher."""
    form = config.shape_of(kind)
    height, width = shape.shape
    axes = (...,) + (None,) * (values.ndim - 2)
    grain = rng.normal(0, 1, (height, width)).astype(np.float32)
    rough = grain * rng.uniform(0.02, 0.06) + perlin((height, width), max(3, min(height, width) // 8), rng) * 0.08
    if form == "blob":
        reach = max(1.0, float(np.sqrt(shape.sum() / np.pi)) / 2)
        height_map = cv2.GaussianBlur(shape, (0, 0), reach)
        slope_y, slope_x = np.gradient(height_map)
        turn = rng.uniform(0, 2 * np.pi)
        light = slope_x * np.cos(turn) + slope_y * np.sin(turn)
        light /= max(1e-6, float(np.abs(light).max()))
        return np.asarray(values + (0.6 * light - 0.1 + rough)[axes], dtype=np.float32)
    if form == "crack":
        return np.asarray(values * rng.uniform(0.05, 0.4) + rough[axes], dtype=np.float32)
    if form == "blotch":
        tint = rng.uniform(0.3, 0.9, values.shape[2:])
        return np.asarray(values * tint + rng.uniform(-0.1, 0.1) + rough[axes], dtype=np.float32)
    shift = rng.choice([-1, 1]) * rng.uniform(0.3, 0.8)
    return np.asarray(values + shift + rough[axes], dtype=np.float32)
