"""Choosing where a class's fused map becomes a mask.

DiffuMask (Wu et al. 2023, section 3.3): no one threshold suits every image, so the one is taken whose refined mask
agrees best with an independent coarse mask of the same object.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsfactory.crf.crf_cpu import binary_mean_field
from dsfactory.crf.thumbnail import Thumbnail

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLOSE = 0.03
"""A candidate whose agreement (IoU) is lower than the best by so much or more has no say in the choice."""

STRIDE = 2
"""Of the candidates every second one is tried; the agreement of the others lies between their neighbours'."""


def candidate_thresholds(low: float = 0.35, high: float = 0.54) -> tuple[float, ...]:
    """Thresholds from ``low`` to ``high``, both included, in steps of 0.01."""
    return tuple(round(low + 0.01 * step, 4) for step in range(round((high - low) * 100) + 1))


def mask_iou(first: Mask, second: Mask) -> float:
    """Intersection over union of two boolean masks; 1 when both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def otsu_threshold(values: NDArray[np.floating]) -> float:
    """Otsu's threshold (1979) of values in [0, 1], on 256 bins: foreground is what lies at or above it."""
    edges = np.arange(257) / 256
    centres = (edges[:-1] + edges[1:]) / 2
    # np.histogram counts the same, in ten times the time.
    histogram = np.bincount(np.minimum((values * 256).astype(np.int16), 255).ravel(), minlength=256)
    below = np.cumsum(histogram)[:-1]
    above = values.size - below
    sum_below = np.cumsum(histogram * centres)[:-1]
    mean_below = sum_below / np.maximum(below, 1)
    mean_above = ((histogram * centres).sum() - sum_below) / np.maximum(above, 1)
    variance = below.astype(np.float64) * above * (mean_above - mean_below) ** 2
    return float(edges[1 + int(variance.argmax())])


def soft_logits(maps: Float, thresholds: Sequence[float], sharpness: float) -> Float:
    """Log odds of the foreground: zero at the threshold, rising linearly with the map.

    Args:
        maps: float32 array of shape ``(classes, height, width)`` in [0, 1].
        thresholds: one per class.
        sharpness: log odds per unit of the map.

    Returns:
        float32 array of the same shape.
    """
    cut = np.array(thresholds, dtype=np.float32)[:, None, None]
    return np.asarray(np.float32(sharpness) * (maps - cut), dtype=np.float32)


def sweep_agreement(
    thumbnail: Thumbnail,
    fused: Float,
    targets: Mask,
    candidates: Sequence[float],
    sharpness: float,
    iterations: int,
    device: str | None = None,
) -> NDArray[np.float64]:
    """IoU with the target of the mask that each candidate threshold gives after a two-label CRF.

    All candidates share the image's filters and are updated together: one lattice instead of a CRF each.

    Args:
        thumbnail: of the image, on which the candidates are compared; of side None for the exhaustive sweep.
        fused: float32 maps in [0, 1], shape ``(classes, height, width)``, of the image's size.
        targets: boolean masks of the same shape.
        candidates: thresholds to try.
        sharpness: see :func:`soft_logits`.
        iterations: mean-field updates.
        device: where PyTorch updates them; None for this package's own updates on a core.

    Returns:
        IoU of shape ``(classes, candidates)``.
    """
    cuts = np.array(candidates, dtype=np.float32)
    agreement = np.empty((len(fused), len(candidates)))
    for row, one, wanted in zip(agreement, thumbnail.pick(fused), thumbnail.pick(targets), strict=True):
        problems = np.float32(sharpness) * (one.reshape(-1, 1) - cuts)
        masks = _foreground(problems, thumbnail, iterations, device).T
        shared = np.count_nonzero(masks & wanted.ravel(), axis=1)
        union = np.count_nonzero(masks | wanted.ravel(), axis=1)
        np.divide(shared, union, out=row, where=union > 0)
        row[union == 0] = 1.0
    return agreement


def _foreground(problems: Float, thumbnail: Thumbnail, iterations: int, device: str | None) -> Mask:
    """Where two-label problems ``(pixels, problems)``, given as log odds, end up as foreground."""
    if device is None:
        return np.asarray(binary_mean_field(problems, thumbnail.filters, iterations) >= 0)
    import torch

    from dsfactory.crf import crf

    height, width = thumbnail.image.shape[:2]
    filters = crf.ImageFilters(torch.from_numpy(thumbnail.image)[None].to(device), thumbnail.kernels)
    logits = torch.from_numpy(problems).to(device).view(1, height, width, -1)
    found = crf.binary_mean_field(logits, filters, iterations) >= 0
    return np.asarray(found.view(problems.shape).cpu().numpy())


def swept(candidates: Sequence[float]) -> tuple[float, ...]:
    """The candidates that are tried: every :data:`STRIDE`-th, and the last."""
    tried = tuple(candidates[::STRIDE])
    return tried if tried[-1] == candidates[-1] else (*tried, candidates[-1])


def choose_threshold(agreement: NDArray[np.floating], tried: Sequence[float], candidates: Sequence[float]) -> float:
    """The threshold at the centre of the candidates that agree best.

    Agreement seldom has one sharp peak: neighbours of the best differ from it by a few pixels, so that the very best
    one is a matter of chance. So candidates next to the best, in a row, are averaged: each counts by how much less than
    :data:`CLOSE` it falls short of the best. Of several equal peaks the first counts.

    Args:
        agreement: IoU of each tried candidate, shape ``(tried,)``.
        tried: the candidates that were tried, ascending.
        candidates: all, ascending; the agreement of those between tried ones is interpolated.

    Returns:
        A threshold between the lowest and the highest candidate, of any number of digits.
    """
    curve = np.interp(candidates, tried, agreement)
    best = int(curve.argmax())
    weights = np.maximum(curve - (curve[best] - CLOSE), 0.0)
    outside = np.flatnonzero(weights == 0.0)
    first = int(outside[outside < best].max(initial=-1)) + 1
    last = int(outside[outside > best].min(initial=len(curve)))
    return float(np.average(np.asarray(candidates)[first:last], weights=weights[first:last]))
