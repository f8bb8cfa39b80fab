"""What a network that never saw a sample says about its label."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.segment.data import Labels

Probabilities = NDArray[np.float32]
"""Class probabilities, background first: float32 of shape (labels, height, width), summing to 1 in each pixel."""

QUALITY_SIDE = 128
"""Longer side at which cleanlab scores an image: its score is a mean over pixels, which size hardly moves."""
EVIDENCE_SHARE = 0.01
"""Evidence of a class is its mean probability over this share of the pixels, the highest."""
FLOOR = 1e-6
"""Least probability that a loss is taken of: no pixel costs more than 13.8."""


@dataclass(frozen=True)
class Judgement:
    """Scores of one sample.

    Attributes:
        iou: per class of the sample, the IoU of its label with what the network predicts, in [0, 1]; None where
            neither has the class.
        confident_iou: the same with :func:`confident_labels` in place of what is predicted.
        evidence: per class of the sample, how surely the network sees it anywhere, in [0, 1].
        quality: cleanlab's label quality of the image, in [0, 1].
        loss: per label (background first), sum of the cross entropy over the pixels that carry it.
        pixels: their number.
    """

    iou: list[float | None]
    confident_iou: list[float | None]
    evidence: list[float]
    quality: float
    loss: NDArray[np.float64]
    pixels: NDArray[np.int64]


def judge(
    probabilities: Probabilities, mask: Labels, class_ids: Sequence[int], thresholds: NDArray[np.float64]
) -> Judgement:
    """Compare a sample's label with an out-of-fold prediction.

    Args:
        probabilities: of the image's own size.
        mask: uint8 ``(height, width)``: class ids, 0 background, 255 void, which is left out.
        class_ids: of the classes that the image was drawn for.
        thresholds: see :func:`confident_labels`.
    """
    known = mask != VOID
    predicted = probabilities.argmax(axis=0)
    confident = confident_labels(probabilities, mask, thresholds)
    losses = pixel_losses(probabilities, mask)
    labels = len(probabilities)
    return Judgement(
        iou=[_iou(mask == number, (predicted == number) & known) for number in class_ids],
        confident_iou=[_iou(mask == number, confident == number) for number in class_ids],
        evidence=[_evidence(probabilities[number]) for number in class_ids],
        quality=_quality(probabilities, mask),
        loss=np.bincount(mask[known], weights=losses[known], minlength=labels).astype(np.float64),
        pixels=np.bincount(mask[known], minlength=labels),
    )


def self_confidence(probabilities: Probabilities, mask: Labels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Per label (background first), the sum of the probabilities of the pixels that carry it, and their number."""
    known = mask != VOID
    given = np.take_along_axis(probabilities, np.where(known, mask, 0)[None].astype(np.int64), axis=0)[0]
    labels = len(probabilities)
    return (
        np.bincount(mask[known], weights=given[known], minlength=labels).astype(np.float64),
        np.bincount(mask[known], minlength=labels).astype(np.int64),
    )


def confident_labels(probabilities: Probabilities, mask: Labels, thresholds: NDArray[np.float64]) -> Labels:
    """What a pixel is, where the network is sure of it; the label that it has, where it is not.

    The network is sure of a class where it gives it at least the probability that pixels labelled with the class get
    on average (confident learning, Northcutt et al. 2021, section 3.1); among several such classes of the likeliest.
    A class that it has hardly learnt contradicts no label that way, and a label of such a class is contradicted only
    by what the network knows.

    Args:
        probabilities: ``(labels, height, width)``.
        mask: uint8 ``(height, width)``; void stays void.
        thresholds: per label, the mean probability of the pixels that carry it.

    Returns:
        uint8 ``(height, width)``.
    """
    sure = np.where(probabilities >= thresholds[:, None, None], probabilities, -1)
    found = sure.argmax(axis=0)
    labels: Labels = np.where((sure.max(axis=0) >= 0) & (mask != VOID), found, mask).astype(np.uint8)
    return labels


def pixel_losses(probabilities: Probabilities, mask: Labels) -> NDArray[np.float32]:
    """Cross entropy of each pixel's label; float32 ``(height, width)``, 0 where the label is void."""
    label = np.where(mask == VOID, 0, mask)[None].astype(np.int64)
    given = np.take_along_axis(probabilities, label, axis=0)[0]
    losses: NDArray[np.float32] = np.where(mask == VOID, 0, -np.log(np.maximum(given, FLOOR))).astype(np.float32)
    return losses


def _iou(label: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float | None:
    union = np.count_nonzero(label | predicted)
    return np.count_nonzero(label & predicted) / union if union else None


def _evidence(probability: NDArray[np.float32]) -> float:
    count = max(1, round(EVIDENCE_SHARE * probability.size))
    return float(np.partition(probability, -count, axis=None)[-count:].mean())


def _quality(probabilities: Probabilities, mask: Labels) -> float:
    """Soft-minimum of the pixels' self-confidence (Lad and Mueller 2023, arXiv 2307.05080), by cleanlab.

    Void pixels count as labelled with what is predicted.
    """
    from cleanlab.segmentation.rank import get_label_quality_scores

    factor = min(1.0, QUALITY_SIDE / max(mask.shape))
    size = (max(1, round(mask.shape[1] * factor)), max(1, round(mask.shape[0] * factor)))
    small = np.stack([cv2.resize(channel, size, interpolation=cv2.INTER_AREA) for channel in probabilities])
    label = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int64)
    label = np.where(label == VOID, small.argmax(axis=0), label)
    scores, _ = get_label_quality_scores(label[None], small[None], method="softmin", verbose=False)
    return float(scores[0])
