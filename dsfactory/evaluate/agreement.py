"""How far labels of the same images agree: IoU, boundaries, and who is right where nobody knows the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID

Ids = NDArray[np.uint8]

REACH = 0.0075
"""How far apart two boundaries may lie and still be one, in diagonals of the image (Perazzi et al. 2016, DAVIS)."""

MAX_RATERS = 6
"""Labels of this many sources have 729 patterns."""


def boundary_f(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """F-measure of two boundaries (Csurka et al. 2013, BMVC; Perazzi et al. 2016, CVPR, section 4).

    Args:
        one: bool ``(height, width)``.
        other: bool ``(height, width)``.

    Returns:
        In [0, 1]; 1 where neither has a boundary.
    """
    reach = max(1, round(REACH * float(np.hypot(*one.shape))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    first, second = _boundary(one), _boundary(other)
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    precision = np.mean(cv2.dilate(second, kernel)[first > 0] > 0)
    recall = np.mean(cv2.dilate(first, kernel)[second > 0] > 0)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _boundary(pixels: NDArray[np.bool_]) -> Ids:
    """The outermost pixels of a region, 1 where they are."""
    solid = pixels.astype(np.uint8)
    inner = cv2.erode(solid, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(solid - inner, dtype=np.uint8)


def patterns(labels: Sequence[Ids], label: int) -> NDArray[np.int64]:
    """How often each pattern of answers to "is this pixel of the class?" occurs in an image.

    All pixels count: a choice of those where someone says yes would not be one of the truth.

    Args:
        labels: uint8 ``(height, width)`` of each rater, 255 where it says nothing.
        label: the id of the class.

    Returns:
        int64 ``(3 ** raters,)``: rater i says no, yes or nothing as the i-th digit is 0, 1 or 2.
    """
    says = np.stack([np.where(one == VOID, 2, one == label).astype(np.uint8) for one in labels])
    codes = np.tensordot(3 ** np.arange(len(labels)), says.astype(np.int64), axes=1)
    return np.bincount(codes.ravel(), minlength=3 ** len(labels))


@dataclass(frozen=True)
class Accuracy:
    """What STAPLE says of a rater, for one class.

    Attributes:
        sensitivity: share of the class's pixels that it calls so.
        specificity: share of the other pixels that it does not call so.
        iou: with the estimated truth.
    """

    sensitivity: float
    specificity: float
    iou: float


def staple(counts: NDArray[np.int64], raters: int, rounds: int = 500) -> list[Accuracy] | None:
    """The accuracy of three raters or more, without a truth: STAPLE (Warfield et al. 2004, IEEE TMI 23(7)).

    Expectation maximisation over pixels: only the patterns of answers count. It takes raters for independent
    given the truth: errors that they share count as truth.

    Args:
        counts: of :func:`patterns`, summed over images.
        raters: at least three.
        rounds: of expectation maximisation, at most.

    Returns:
        One per rater; None where no rater sees the class.
    """
    digits = np.array([[code // 3**rater % 3 for rater in range(raters)] for code in range(len(counts))])
    seen = (counts > 0) & (digits != 2).any(axis=1)
    digits, weights = digits[seen], counts[seen].astype(np.float64)
    yes, no = digits == 1, digits == 0
    if not yes.any():
        return None
    sensitivity, specificity = np.full(raters, 0.95), np.full(raters, 0.95)
    prior = float((weights @ yes).sum() / (weights @ (yes | no)).sum())
    for _ in range(rounds):
        inside = prior * np.prod(np.where(yes, sensitivity, np.where(no, 1 - sensitivity, 1)), axis=1)
        outside = (1 - prior) * np.prod(np.where(yes, 1 - specificity, np.where(no, specificity, 1)), axis=1)
        truth = inside / np.maximum(inside + outside, 1e-300)
        on, off = weights * truth, weights * (1 - truth)
        before = sensitivity
        sensitivity = _share(on @ yes, on @ (yes | no))
        specificity = _share(off @ no, off @ (yes | no))
        prior = float(np.clip(on.sum() / weights.sum(), 1e-6, 1 - 1e-6))
        if np.abs(sensitivity - before).max() < 1e-9:
            break
    hits, misses, alarms = on @ yes, on @ no, off @ yes
    iou = hits / np.maximum(hits + misses + alarms, 1e-12)
    return [Accuracy(*map(float, item)) for item in zip(sensitivity, specificity, iou, strict=True)]


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clipped, so that no answer is ever impossible."""
    return np.clip(part / np.maximum(whole, 1e-12), 1e-6, 1 - 1e-6)
