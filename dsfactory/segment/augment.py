"""Random crops for training a segmentation network."""

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.segment.data import Image, Labels

SCALES = (0.75, 1.33)
"""Range of the longer side, as a share of the crop's side."""
JITTER = 0.3
"""Largest change of brightness, contrast and saturation, as a share."""
PADDING = 127
"""Grey around an image that is smaller than the crop; its label is void."""


def random_crop(image: Image, labels: Labels, side: int, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Scale, crop or pad, flip and recolour a pair at random.

    Args:
        image: uint8 ``(height, width, 3)``.
        labels: uint8 ``(height, width)``; resized by nearest neighbour, void where there is no image.
        side: of the square result, in pixels.
        rng: decides everything.

    Returns:
        uint8 ``(side, side, 3)`` and uint8 ``(side, side)``.
    """
    height, width = labels.shape
    scale = rng.uniform(*SCALES) * side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image, labels = resize_image(image, size), resize_labels(labels, size)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    crop = np.full((side, side, 3), PADDING, np.uint8)
    crop_labels = np.full((side, side), VOID, np.uint8)
    from_y, to_y = _overlap(size[1], side, rng)
    from_x, to_x = _overlap(size[0], side, rng)
    crop[to_y, to_x] = jitter(image[from_y, from_x], rng)
    crop_labels[to_y, to_x] = labels[from_y, from_x]
    return crop, crop_labels


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """A uint8 RGB image at another ``(width, height)``: averaged when it shrinks, else linear."""
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def resize_labels(labels: Labels, size: tuple[int, int]) -> Labels:
    """A label map at another ``(width, height)``, by nearest neighbour."""
    return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _overlap(length: int, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Where a random window of ``side`` lies in ``length`` pixels, or the pixels in the window if they are fewer."""
    start = int(rng.integers(abs(length - side) + 1))
    if length >= side:
        return slice(start, start + side), slice(0, side)
    return slice(0, length), slice(start, start + length)


def jitter(image: Image, rng: np.random.Generator) -> Image:
    """Change brightness, contrast and saturation of a uint8 RGB image, each by a random share up to ``JITTER``."""
    brightness, contrast, saturation = 1 + rng.uniform(-JITTER, JITTER, 3)
    pixels: NDArray[np.float32] = image.astype(np.float32)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    pixels = grey + (pixels - grey) * np.float32(saturation)
    pixels = (pixels - grey.mean()) * np.float32(contrast) + grey.mean() * np.float32(brightness)
    return np.clip(pixels, 0, 255).astype(np.uint8)
