"""The colours of masks: those of the PASCAL VOC colour map, and what others mean."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import voc_palette

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


def voc_colour(label: int) -> Colour:
    """The colour of a label id in the VOC colour map."""
    red, green, blue = voc_palette()[3 * label : 3 * label + 3]
    return red, green, blue


def packed(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Colours ``(height, width, 3)`` as one number each, ``(height, width)``: ``0xRRGGBB``."""
    numbers: NDArray[np.int64] = pixels.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return numbers


def labels_of(pixels: NDArray[np.uint8], labels: Mapping[Colour, int]) -> NDArray[np.uint8]:
    """The label ids, uint8 ``(height, width)``, of a mask that is painted in colours, uint8 ``(height, width, 3)``.

    Raises:
        KeyError: a colour that has no label.
    """
    found, places = np.unique(packed(pixels), return_inverse=True)
    ids = [labels[number >> 16, number >> 8 & 255, number & 255] for number in found.tolist()]
    return np.array(ids, dtype=np.uint8)[places].reshape(pixels.shape[:2])
