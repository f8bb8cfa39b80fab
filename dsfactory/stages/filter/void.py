"""Pixel-level noise: pixels that the out-of-fold network finds too unlikely become void."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.segment.data import Labels
from dsfactory.stages.filter.judge import Probabilities, pixel_losses
from dsfactory.stages.filter.rules import Verdict
from dsfactory.stages.filter.scores import Score
from dsfactory.stages.refine.clean import set_void

OUTLINE = 1 / 32
"""How far the network's outlines may be off, as a share of the longer side: one of its logits, at a side of 128."""


def loss_limits(
    scores: Sequence[Score], verdicts: Sequence[Verdict], tolerance: float, unknown: Sequence[int] = ()
) -> NDArray[np.float64]:
    """The largest loss that a pixel of each label may have.

    FreeMask's filter of noisy regions (Yang et al. 2023, arXiv 2310.15160), there with a network that was trained on
    real images, here with those of the other folds.

    Args:
        scores: of all samples, which hold the losses summed by label.
        verdicts: only the kept samples count, for wrong masks would raise the mean.
        tolerance: how many times the mean a loss may be; 0 sets no limit.
        unknown: labels that the networks hardly learnt, which have no limit.

    Returns:
        float64 ``(labels,)``, background first; infinite for a label that no kept sample has.
    """
    kept = [score for score, verdict in zip(scores, verdicts, strict=True) if verdict.kept]
    loss = np.sum([score.loss for score in kept], axis=0)
    pixels = np.sum([score.pixels for score in kept], axis=0)
    limits: NDArray[np.float64] = np.full(len(loss), np.inf)
    if tolerance > 0:
        np.divide(tolerance * loss, pixels, out=limits, where=pixels > 0)
        limits[list(unknown)] = np.inf
    return limits


def void_doubtful(
    mask: Labels, instances: Labels, probabilities: Probabilities, limits: NDArray[np.float64]
) -> tuple[Labels, Labels]:
    """Turn pixels of a mask whose loss is over their label's limit into void, where it is not just an outline.

    A network is unsure on every outline, and who learns from masks without outlines draws objects too large. So
    only pixels within :data:`OUTLINE` of a contradicted one go: one over the limit whose label is not predicted
    anywhere within :data:`OUTLINE` of it.

    Args:
        mask: uint8 ``(height, width)``.
        instances: uint8, the same shape; ids from 1 without gaps.
        probabilities: of the out-of-fold network.
        limits: from :func:`loss_limits`.

    Returns:
        A new mask and new instances. An object that loses all its pixels leaves no gap in the ids; one that falls apart
        stays one object.
    """
    per_value = np.full(256, np.inf)
    per_value[: len(limits)] = limits
    doubtful = _without_outlines(pixel_losses(probabilities, mask) > per_value[mask], probabilities, mask)
    return set_void(mask, instances, doubtful)


def _without_outlines(doubtful: NDArray[np.bool_], probabilities: Probabilities, mask: Labels) -> NDArray[np.bool_]:
    """The doubtful pixels that are contradicted ones, or have one within the outline's reach."""
    reach = max(1, round(OUTLINE * max(mask.shape)))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    predicted = probabilities.argmax(axis=0)
    contradicted = doubtful.copy()
    for label in np.unique(mask[doubtful]):
        nearby = cv2.dilate((predicted == label).astype(np.uint8), window)
        contradicted &= (mask != label) | (nearby == 0)
    around: NDArray[np.bool_] = cv2.dilate(contradicted.astype(np.uint8), window) > 0
    return doubtful & around
