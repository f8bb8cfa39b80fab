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
RESTYLE = 0.5
"""Largest change of brightness and contrast in a restyled image, as a share."""
PADDING = 127
"""Grey around an image that is smaller than the crop; its label is void."""


def random_crop(
    image: Image, labels: Labels, side: int, rng: np.random.Generator, restyled: float = 0.0
) -> tuple[Image, Labels]:
    """Scale, crop or pad, flip and recolour a pair at random.

    Args:
        image: uint8 ``(height, width, 3)``.
        labels: uint8 ``(height, width)``; resized by nearest neighbour, void where there is no image.
        side: of the square result, in pixels.
        rng: decides everything.
        restyled: share of the crops that :func:`restyle` recolours, instead of :func:`jitter`.

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
    recoloured = restyle if restyled and rng.random() < restyled else jitter
    crop[to_y, to_x] = recoloured(image[from_y, from_x], rng)
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
    pixels = _shaded(image.astype(np.float32), brightness, contrast, saturation)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def restyle(image: Image, rng: np.random.Generator) -> Image:
    """Give a uint8 RGB image the colours of another style, so that shapes are all that a network can go by.

    Every hue turned by the same angle, brightness and contrast by up to ``RESTYLE``, saturation from 0 to 2; one in ten
    is grey, three in ten are blurred (up to 1.2 pixels), as many get noise (up to 12 grey levels).
    """
    pixels = image.astype(np.float32) @ _hue_turn(rng.uniform(-np.pi, np.pi)).T
    brightness, contrast = 1 + rng.uniform(-RESTYLE, RESTYLE, 2)
    saturation = rng.uniform(0, 2) if rng.random() < 0.9 else 0.0
    pixels = _shaded(pixels, brightness, contrast, saturation)
    if rng.random() < 0.3:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.2)), np.float32)
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(2, 12), pixels.shape).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _shaded(pixels: NDArray[np.float32], brightness: float, contrast: float, saturation: float) -> NDArray[np.float32]:
    """Pixels with brightness, contrast and saturation times these factors."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    pixels = grey + (pixels - grey) * np.float32(saturation)
    shaded: NDArray[np.float32] = (pixels - grey.mean()) * np.float32(contrast) + grey.mean() * np.float32(brightness)
    return shaded


def _hue_turn(angle: float) -> NDArray[np.float32]:
    """The matrix that turns RGB colours about the grey axis (Rodrigues' rotation), angle in radians."""
    cosine, across = np.cos(angle), np.sin(angle) / np.sqrt(3)
    even = (1 - cosine) / 3
    turn = np.array([[0, -across, across], [across, 0, -across], [-across, across, 0]])
    return np.asarray(cosine * np.eye(3) + even + turn, np.float32)
