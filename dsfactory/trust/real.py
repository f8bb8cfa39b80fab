"""Objects whose truth is known: labelled pictures, labelled once more as the run's model labels them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.core.seeds import derive_seed
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from dsfactory.trust.evidence import object_evidence

Labels = NDArray[np.uint8]
MAX_SIDE = 1024
"""Longer pictures are made smaller: masks cost time, and shares of the image stay the same."""


@dataclass(frozen=True)
class KnownObject:
    """An object of a label whose truth is known.

    Attributes:
        evidence: see :func:`dsfactory.trust.evidence.object_evidence`.
        iou: with the truth, in [0, 1].
    """

    evidence: dict[str, float]
    iou: float


def object_iou(pixels: NDArray[np.bool_], label: int, mask: Labels, truth: Labels) -> float | None:
    """IoU of an object with the truth's object of its class that it meets most, in [0, 1].

    Objects of the truth are connected parts of a class. Pixels that either side ignores (255) count for nobody.

    Args:
        pixels: of the object, bool ``(height, width)``.
        label: its class id.
        mask: the labels that it is from.
        truth: class ids, 0 background, 255 void.

    Returns:
        None for an object that lies in the truth's void.
    """
    known = (mask != VOID) & (truth != VOID)
    own = pixels & known
    if not own.any():
        return None
    _, parts = cv2.connectedComponents((truth == label).astype(np.uint8), connectivity=8)
    met = np.bincount(parts[own & (parts > 0)])
    if not met.size:
        return 0.0
    there = (parts == int(met.argmax())) & known
    return float(np.count_nonzero(own & there) / np.count_nonzero(own | there))


def known_objects(
    pictures: Sequence[tuple[NDArray[np.uint8], Labels]],
    annotator: Annotator,
    classes: Sequence[ClassSpec],
    config: RefineConfig,
    advance: Callable[[], None],
) -> list[KnownObject]:
    """Label pictures as ``annotate`` and ``refine`` do when they are told the classes, and compare.

    Args:
        pictures: image (uint8 RGB) and truth (uint8 class ids from 1, 0 background, 255 void) of each.
        annotator: the run's model.
        classes: of the run.
        config: how maps become masks.
        advance: called after each picture.
    """
    found: list[KnownObject] = []
    names = [item.name for item in classes]
    for place in range(len(pictures)):
        image, truth = _smaller(*pictures[place])
        ids = [int(value) for value in np.unique(truth) if value not in (BACKGROUND, VOID)]
        if ids:
            seed = derive_seed(0, "trust", place)
            maps = annotator.evidence(annotator.noisy(image, seed), [classes[number - 1] for number in ids])
            made = refine_mask(image, maps.cross, maps.affinity, ids, config)
            row = {**made.__dict__, "threshold": made.thresholds, "classes": [names[number - 1] for number in ids]}
            evidence = object_evidence(row, names, image, made.labels, made.instances, maps)
            for number, known in evidence.items():
                pixels = made.instances == number
                value = object_iou(pixels, int(made.labels[pixels][0]), made.labels, truth)
                if value is not None:
                    found.append(KnownObject(known, value))
        advance()
    return found


def _smaller(image: NDArray[np.uint8], truth: Labels) -> tuple[NDArray[np.uint8], Labels]:
    by = MAX_SIDE / max(truth.shape)
    if by >= 1:
        return image, truth
    size = (max(1, round(truth.shape[1] * by)), max(1, round(truth.shape[0] * by)))
    return (
        np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
    )
