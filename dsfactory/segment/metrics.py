"""Intersection over union, as the PASCAL VOC segmentation challenge counts it."""

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID

Confusion = NDArray[np.int64]


def confusion(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], labels: int) -> Confusion:
    """Count the pixels of a pair of label maps; add the results of a whole set before taking the IoU.

    Args:
        truth: uint8 of any shape; class ids below ``labels``, 255 is left out.
        prediction: uint8 of the same shape, class ids below ``labels``.
        labels: number of classes with background.

    Returns:
        int64 ``(labels, labels)``: pixels of the true class (row) that were given a class (column).

    Raises:
        ValueError: the shapes differ, or an id has no class.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"label maps of the shapes {truth.shape} and {prediction.shape} cannot be compared")
    known = truth != VOID
    true, given = truth[known].astype(np.int64), prediction[known].astype(np.int64)
    if true.size and max(true.max(), given.max()) >= labels:
        raise ValueError(f"the id {max(true.max(), given.max())} is not below {labels}")
    return np.bincount(labels * true + given, minlength=labels**2).reshape(labels, labels)


def class_iou(counts: Confusion) -> NDArray[np.float64]:
    """IoU of each class: true positives over the union of truth and prediction.

    Args:
        counts: int64 ``(labels, labels)`` from :func:`confusion`, summed over a set.

    Returns:
        float64 ``(labels,)`` in [0, 1]; NaN for a class that is in neither truth nor prediction.
    """
    hits = np.diag(counts).astype(np.float64)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hits
    values: NDArray[np.float64] = np.divide(hits, union, out=np.full(len(counts), np.nan), where=union > 0)
    return values


def mean_iou(counts: Confusion, background: bool = True) -> float:
    """Mean of :func:`class_iou` over the classes that occur, with or without background (id 0).

    Returns:
        In [0, 1]; NaN when no class occurs.
    """
    values = class_iou(counts)[0 if background else 1 :]
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
