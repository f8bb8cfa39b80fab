"""A world that a network learns in a few steps: red squares (class 1) and blue bars (class 2) on grey."""

import numpy as np
from numpy.typing import NDArray

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

COLOURS = {1: (210, 40, 40), 2: (40, 40, 210)}


def shape_pair(seed: int, height: int = 32, width: int = 32) -> Pair:
    """An image with one object, which alternates with the seed, and its labels."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 160, (height, width, 3), dtype=np.uint8)
    labels = np.zeros((height, width), np.uint8)
    label = 1 + seed % 2
    tall, wide = (12, 12) if label == 1 else (8, 20)
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    image[top : top + tall, left : left + wide] = COLOURS[label]
    labels[top : top + tall, left : left + wide] = label
    return image, labels


def shape_pairs(count: int, start: int = 0) -> list[Pair]:
    return [shape_pair(start + number) for number in range(count)]
