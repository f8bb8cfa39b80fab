"""Scenes: stickers on a painted background, with exact masks.

A scene is drawn by a `numpy.random.Generator` and nothing else, so `np.random.default_rng([seed, number])` names it.
The mask of a sticker is where its alpha is above one half and no later sticker covers it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from scripts.pocket.stickers import Sticker

# Background → (top colours, bottom colours) as RGB anchors; one of each is drawn and jittered.
BACKGROUNDS: dict[str, tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]]] = {
    "grass": (((140, 200, 90), (110, 180, 80)), ((60, 140, 50), (80, 155, 60))),
    "sky": (((90, 160, 235), (120, 185, 245)), ((190, 225, 250), (215, 235, 250))),
    "sand": (((240, 220, 170), (230, 210, 160)), ((220, 190, 130), (205, 175, 120))),
    "snow": (((235, 240, 248), (225, 235, 246)), ((248, 250, 253), (238, 243, 250))),
    "water": (((110, 180, 215), (90, 165, 205)), ((30, 100, 160), (40, 120, 170))),
    "road": (((150, 150, 155), (135, 135, 140)), ((90, 90, 96), (105, 103, 105))),
    "wall": (((225, 205, 185), (205, 190, 200)), ((190, 165, 140), (175, 160, 165))),
    "night": (((15, 18, 45), (22, 20, 55)), ((40, 42, 85), (30, 36, 70))),
}
# Kinds that lie on the ground may show sky above a horizon.
GROUND = ("grass", "sand", "snow", "water", "road")
SIZES_BY_COUNT = {1: (0.45, 0.85), 2: (0.38, 0.55), 3: (0.32, 0.44)}


@dataclass(frozen=True)
class Scene:
    """`image` uint8 RGB [size, size, 3]; `labels` uint8 [size, size]: 0 background, k the k-th class of `classes`."""

    image: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def group_by_class(stickers: list[Sticker]) -> dict[str, list[Sticker]]:
    """Stickers by class name, both in the order given."""
    groups: dict[str, list[Sticker]] = {}
    for sticker in stickers:
        groups.setdefault(sticker.class_name, []).append(sticker)
    return groups


def paint_background(kind: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """A background of one kind of `BACKGROUNDS` as float32 RGB [size, size, 3] in 0…255.

    A vertical gradient of two jittered colours with smooth noise and a little grain; outdoors one in three has a sky
    above a horizon.
    """
    image = _gradient(kind, rng, size)
    if kind in GROUND and rng.random() < 0.35:
        horizon = int(size * rng.uniform(0.2, 0.55))
        image[:horizon] = _gradient("sky", rng, size)[:horizon]
    coarse = rng.normal(0, 7, (6, 6, 1)).astype(np.float32)
    image += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
    return image + rng.normal(0, 1.5, (size, size, 1)).astype(np.float32)


def _gradient(kind: str, rng: np.random.Generator, size: int) -> np.ndarray:
    ends = [np.array(anchors[rng.integers(len(anchors))], np.float32) for anchors in BACKGROUNDS[kind]]
    top, bottom = (end + rng.normal(0, 8, 3).astype(np.float32) for end in ends)
    ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - ramp) + bottom * ramp, (size, size, 3)).copy()


def place_sticker(sticker: Sticker, rng: np.random.Generator, size: int, scale: float, centre_x: float) -> np.ndarray:
    """The sticker, jittered, turned and moved, as float32 premultiplied RGBA [size, size, 4] (RGB 0…255, alpha 0…1)."""
    art = sticker.image.astype(np.float32)
    alpha = art[..., 3:] / 255
    gain = rng.uniform(0.85, 1.12) * rng.uniform(0.93, 1.07, 3)
    colour = np.clip(art[..., :3] * gain.astype(np.float32), 0, 255)
    layer = np.concatenate([colour * alpha, alpha], axis=2)
    height, width = layer.shape[:2]
    zoom = scale * size / max(height, width)
    if zoom < 1:  # INTER_AREA averages; warpAffine alone would alias
        layer = cv2.resize(layer, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        height, width, zoom = layer.shape[0], layer.shape[1], 1.0
    if rng.random() < 0.5:
        layer = layer[:, ::-1]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-12, 12), zoom)
    half_x, half_y = zoom * width / 2, zoom * height / 2
    x = np.clip(centre_x * size, min(half_x, size / 2), max(size - half_x, size / 2))
    y = rng.uniform(min(half_y, size / 2), max(size - half_y, size / 2))
    turn[:, 2] += (x - width / 2, y - height / 2)
    return cv2.warpAffine(np.ascontiguousarray(layer), turn, (size, size), flags=cv2.INTER_LINEAR)


def compose_scene(
    stickers: dict[str, list[Sticker]], classes: tuple[str, ...], background: str, rng: np.random.Generator, size: int
) -> Scene:
    """Draw one scene with one sticker per class, side by side with mild overlap.

    Args:
        stickers: class name → stickers to choose from.
        classes: 1 to 3 different class names.
        background: key of `BACKGROUNDS`.
        size: side in pixels.
    """
    image = paint_background(background, rng, size)
    labels = np.zeros((size, size), np.uint8)
    count = len(classes)
    low, high = SIZES_BY_COUNT[count]
    slots = rng.permutation(count)
    for k, class_name in enumerate(classes):
        choices = stickers[class_name]
        sticker = choices[rng.integers(len(choices))]
        centre = rng.uniform(0.3, 0.7) if count == 1 else (slots[k] + 0.5) / count + rng.uniform(-0.06, 0.06)
        layer = place_sticker(sticker, rng, size, rng.uniform(low, high), centre)
        image = image * (1 - layer[..., 3:]) + layer[..., :3]
        labels[layer[..., 3] > 0.5] = k + 1
    return Scene(np.clip(image + 0.5, 0, 255).astype(np.uint8), labels, classes)
