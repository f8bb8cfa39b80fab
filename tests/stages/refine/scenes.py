"""Pictures whose masks are known exactly, with attention as a diffusion model would give it: coarse, blurred, noisy."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scene:
    """`image` uint8 RGB; `truth` uint8, 0 background and 1, 2 … the objects; maps as in an Evidence."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    cross: dict[tuple[int, int], NDArray[np.float16]]
    affinity: dict[tuple[int, int], NDArray[np.float16]]


def draw_scene(seed: int, objects: int = 1, size: tuple[int, int] = (128, 128), noise: float = 0.3) -> Scene:
    """Wavy blobs side by side on a smooth, grainy background."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    image = 128 + 60 * cv2.resize(rng.normal(0, 0.5, (4, 4, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    truth = np.zeros(size, dtype=np.uint8)
    for number in range(1, objects + 1):
        angle = np.arctan2(y - height * rng.uniform(0.4, 0.6), x - width * (number - 0.5) / objects)
        distance = np.hypot(y - height * 0.5, x - width * (number - 0.5) / objects)
        radius = min(height, width / objects) * (0.33 + 0.07 * np.sin(3 * angle + rng.uniform(0, 6)))
        truth[distance < radius] = number
        image[distance < radius] = rng.permutation([30, 120, 220])
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    sizes = [(round(height * scale), round(width * scale)) for scale in (1 / 8, 1 / 16)]
    cross = {grid: _attention(truth, objects, grid, noise, rng) for grid in sizes}
    affinity = _attention(truth, objects, sizes[0], noise / 3, rng)
    return Scene(image, truth, cross, {sizes[0]: affinity / affinity.max(axis=(1, 2), keepdims=True)})


def _attention(truth, objects, grid, noise, rng):
    maps = []
    for number in range(1, objects + 1):
        coverage = cv2.resize((truth == number).astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
        uneven = coverage * np.clip(1 + noise * rng.normal(0, 1, grid), 0.3, 2)
        maps.append(0.02 + 0.2 * cv2.GaussianBlur(uneven, (0, 0), 0.8))
    return np.array(maps, dtype=np.float16)


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)
