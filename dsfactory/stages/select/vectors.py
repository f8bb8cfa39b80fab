"""What samples are compared by: features of the image, and what the label says."""

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID

Vectors = NDArray[np.float32]


def label_vector(mask: NDArray[np.uint8], instances: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """What a label says of size, place and number.

    Args:
        mask: uint8 ``(height, width)`` of class ids; 0 background, 255 ignored.
        instances: uint8 ``(height, width)`` of instance ids from 1; 0 background, 255 ignored.
        classes: number of the run's classes.

    Returns:
        float32 ``(classes + 6,)``: the root of each class's share; then centre (x, y) and spread (x, y) of what is
        labelled in shares of the image, the root of the ignored share, and the logarithm of 1 + the number of objects.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    labelled = (mask != BACKGROUND) & (mask != VOID)
    place = [0.5, 0.5, 0.0, 0.0]
    if labelled.any():
        across, down = labelled.sum(axis=0), labelled.sum(axis=1)
        (x, wide), (y, high) = _moments(across), _moments(down)
        place = [x, y, wide, high]
    objects = len({*np.unique(instances).tolist()} - {BACKGROUND, VOID})
    shares = np.sqrt(counts[1 : classes + 1] / mask.size)
    return np.array([*shares, *place, np.sqrt(counts[VOID] / mask.size), np.log1p(objects)], dtype=np.float32)


def _moments(weights: NDArray[np.integer]) -> tuple[float, float]:
    """Mean and standard deviation of positions in [0, 1] with weights."""
    positions = (np.arange(len(weights)) + 0.5) / len(weights)
    mean = float(np.average(positions, weights=weights))
    return mean, float(np.sqrt(np.average(np.square(positions - mean), weights=weights)))


def joined(images: Vectors, labels: Vectors, weight: float) -> Vectors:
    """Both as one vector of length 1: its cosine with another is the weighted mean of the two cosines.

    Args:
        images: of length 1 each.
        labels: of length 1 each.
        weight: of the labels, in [0, 1].
    """
    return np.hstack([images * np.sqrt(1 - weight), labels * np.sqrt(weight)]).astype(np.float32)
