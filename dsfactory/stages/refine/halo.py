"""Halos: what a class keeps that was asked for and not drawn, a rim around the objects of another class."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.stages.refine.clean import Labels, components

RIM = 0.02
"""How far around an object its rim reaches, as a share of the image's longer side."""
SURROUNDED = 0.25
"""Share of an object's rim from which on another class surrounds it."""
LARGEST = 3.0
"""Parts that are larger than this many times all other objects together touch much else: they are an object."""
LEVEL = 0.1
"""The lowest value of a map without a peak, as a share of its highest."""
FLATTER = 3.0
"""How many times as high as that of the image's clearest map it has to be, for some models' maps are all flat."""
STOLEN = 2.0
"""As many times as flat as another class's map is one that takes the other's place without being there."""


class Halos(NamedTuple):
    """What of a label map is halo.

    Attributes:
        where: boolean ``(height, width)``.
        share: of each class's mask.
    """

    where: NDArray[np.bool_]
    share: list[float]


def without_peak(contrast: NDArray[np.floating]) -> list[int]:
    """Which of an image's classes have a map without a peak of their own, while another class's has one.

    Args:
        contrast: of each class, see :func:`dsfactory.stages.refine.fuse.contrasts`.
    """
    lowest = 1.0 - contrast
    return [k for k, low in enumerate(lowest) if low >= LEVEL and low >= FLATTER * lowest.min()]


def takes_place(contrast: NDArray[np.floating], taker: int, loser: int) -> bool:
    """Whether a class that got what another one claims is so much flatter that it is the one that is not there."""
    return bool(1.0 - contrast[taker] >= max(STOLEN * (1.0 - contrast[loser]), LEVEL / 4))


def find_halos(labels: Labels, fused: NDArray[np.float32], class_ids: Sequence[int], max_halo: float) -> Halos:
    """Parts of a class that surround another class, to which the class's own map gives hardly less than to them.

    The map of a class that was not drawn lies on what was drawn. There the drawn class wins; the blurred rim is left.
    A thing that really stands around another one (a sofa, a rider's horse) is larger, or its map is low where the
    other thing is.

    Args:
        labels: label image.
        fused: maps ``(classes, height, width)`` in [0, 1].
        class_ids: the label of each map.
        max_halo: mean of the map on what is surrounded, as a share of that on the parts around it, from which on these
            are a halo. 0: nothing is.
    """
    where = np.zeros(labels.shape, bool)
    if not max_halo:
        return Halos(where, [0.0] * len(class_ids))
    reach = max(1, round(RIM * max(labels.shape)))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    objects = [labels == number for number in class_ids]
    rims = [cv2.dilate(one.astype(np.uint8), window).astype(bool) & ~one for one in objects]
    share = []
    for k, own in enumerate(objects):
        halo = np.zeros(labels.shape, bool)
        parts, _ = components(own)
        largest = LARGEST * sum(np.count_nonzero(other) for other in objects if other is not own)
        for other, rim in zip(objects, rims, strict=True):
            if other is own or not (rim.any() and other.any()):
                continue
            around = own & np.isin(parts, np.unique(parts[rim & own]))
            if (
                np.count_nonzero(rim & around) >= SURROUNDED * np.count_nonzero(rim)
                and np.count_nonzero(around) <= largest
                and fused[k][other].mean() >= max_halo * fused[k][around].mean()
            ):
                halo |= around
        where |= halo
        share.append(float(halo[own].mean()) if own.any() else 0.0)
    return Halos(where, share)
