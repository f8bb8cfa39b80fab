"""Choosing where a class's fused map becomes a mask.

DiffuMask (Wu et al. 2023, section 3.3): no one threshold suits every image, so the one is taken whose refined mask
agrees best with an independent coarse mask of the same object.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.refine.crf import ImageFilters, Kernels, binary_mean_field

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

TIE = 0.003
"""Agreements (IoU) that differ by no more are equal: no eye sees a mask change by so little."""

SWEEP_SIDE = 160
"""Longer side of the thumbnail on which thresholds are compared; smaller images are compared as they are."""


def candidate_thresholds(low: float = 0.35, high: float = 0.54) -> tuple[float, ...]:
    """Thresholds from ``low`` to ``high``, both included, in steps of 0.01."""
    return tuple(round(low + 0.01 * step, 4) for step in range(round((high - low) * 100) + 1))


def mask_iou(first: Mask, second: Mask) -> float:
    """Intersection over union of two boolean masks; 1 when both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def otsu_threshold(values: NDArray[np.floating]) -> float:
    """Otsu's threshold (1979) of values in [0, 1], on 256 bins: foreground is what lies at or above it."""
    histogram, edges = np.histogram(values, bins=256, range=(0.0, 1.0))
    centres = (edges[:-1] + edges[1:]) / 2
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
    image: NDArray[np.uint8],
    fused: Float,
    targets: Mask,
    candidates: Sequence[float],
    sharpness: float,
    kernels: Kernels,
    iterations: int,
    side: int | None = None,
) -> NDArray[np.float64]:
    """IoU with the target of the mask that each candidate threshold gives after a two-label CRF.

    All candidates of all classes share the image's filters: one lattice instead of a CRF each.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        fused: float32 maps in [0, 1], shape ``(classes, height, width)``.
        targets: boolean masks of the same shape.
        candidates: thresholds to try.
        sharpness: see :func:`soft_logits`.
        kernels: widths in pixels of ``image``.
        iterations: mean-field updates.
        side: do all this on a thumbnail whose longer side has so many pixels; None for full size (exhaustive sweep).

    Returns:
        IoU of shape ``(classes, candidates)``.
    """
    height, width = image.shape[:2]
    if side is not None and (factor := side / max(height, width)) < 1.0:
        small = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = _shrink(image, small)
        fused = np.stack([_shrink(one, small) for one in fused])
        targets = np.stack([_shrink(one.astype(np.float32), small) >= 0.5 for one in targets])
        kernels = kernels.scaled(factor)
    filters = ImageFilters(torch.from_numpy(np.ascontiguousarray(image))[None], kernels)
    problems = np.float32(sharpness) * (fused[..., None] - np.array(candidates, dtype=np.float32))
    logits = torch.from_numpy(np.concatenate(problems, axis=-1))[None]
    masks = (binary_mean_field(logits, filters, iterations)[0] >= 0).view(*image.shape[:2], len(fused), -1)
    wanted = torch.from_numpy(np.moveaxis(targets, 0, -1).copy())[..., None]
    shared = (masks & wanted).sum(dim=(0, 1)).numpy()
    union = (masks | wanted).sum(dim=(0, 1)).numpy()
    return np.asarray(np.divide(shared, union, out=np.ones(shared.shape), where=union > 0), dtype=np.float64)


def _shrink(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def best_candidate(agreement: NDArray[np.floating], candidates: Sequence[float]) -> float:
    """The candidate with the highest agreement.

    Agreement seldom has one sharp peak: neighbours of the best differ from it by a few pixels. Candidates next to the
    best, or to one another in a row, whose agreement is within :data:`TIE` of the highest are as good, and the middle
    one of that row is taken (the lower of two middle ones), which is the safest; of several equal peaks, the first.
    """
    best = int(agreement.argmax())
    worse = np.flatnonzero(agreement < agreement[best] - TIE)
    first = int(worse[worse < best].max(initial=-1)) + 1
    last = int(worse[worse > best].min(initial=len(agreement))) - 1
    return candidates[(first + last) // 2]
