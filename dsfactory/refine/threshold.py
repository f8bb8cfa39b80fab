"""Choosing where a class's fused map becomes a mask.

DiffuMask (Wu et al. 2023, section 3.3): no one threshold suits every image, so the one is taken whose refined mask
agrees best with an independent coarse mask of the same object.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.refine.crf import Kernels, binary_mean_field, image_filters

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]


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
    filters = image_filters(image, kernels)
    agreement = np.empty((len(fused), len(candidates)))
    for row, one, target in zip(agreement, fused, targets, strict=True):
        logits = soft_logits(np.broadcast_to(one, (len(candidates), *one.shape)), candidates, sharpness)
        row[:] = [mask_iou(mask, target) for mask in binary_mean_field(logits, filters, iterations) >= 0.5]
    return agreement


def _shrink(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def best_candidate(agreement: NDArray[np.floating], candidates: Sequence[float]) -> float:
    """The candidate with the highest agreement; of equals the middle one, which is the safest."""
    best = np.flatnonzero(agreement == agreement.max())
    return candidates[int(best[(len(best) - 1) // 2])]
