"""A second witness: somebody who sees the image too, and says of each object of a label where it is.

A promptable segmenter, the model's own attention to the mirror image, a network that learnt from other samples: all
answer in the same form, so that whoever asks need not know them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Said(NamedTuple):
    """What a witness says of an object.

    Attributes:
        mask: where it is, bool ``(height, width)``.
        confidence: how sure the witness is, in [0, 1].
    """

    mask: Mask
    confidence: float


Witness = Callable[[NDArray[np.uint8], Labels, Labels, Sequence[int]], list[Said]]
"""From an image (uint8 RGB), its labels and instances (uint8, 255 void) and the class ids that the image was to show:
what it says of each object, in the order of the instance ids."""

SURE = 0.5
"""Least confidence of a witness that is heard."""


def instance_ids(instances: Labels) -> list[int]:
    """The ids of the objects, ascending."""
    return [int(number) for number in np.unique(instances) if number not in (BACKGROUND, VOID)]


def of_classes(labels: Labels, instances: Labels, found: Labels, confidence: float) -> list[Said]:
    """What a witness says that knows classes and no objects: of each object its class, where no other object is.

    Args:
        labels: uint8 ``(height, width)``: class ids, 0 background, 255 void.
        instances: uint8, the same shape.
        found: the witness's labels, the same shape.
        confidence: of the witness.
    """
    said = []
    for number in instance_ids(instances):
        own = instances == number
        others = (instances != number) & (instances != BACKGROUND) & (instances != VOID)
        said.append(Said((found == labels[own][0]) & ~others, confidence))
    return said


def agreements(labels: Labels, instances: Labels, said: Sequence[Said], class_ids: Sequence[int]) -> list[float | None]:
    """IoU of each class's objects with where the witness says that they are; void counts for nobody.

    Args:
        labels: uint8 ``(height, width)``: class ids, 0 background, 255 void.
        instances: uint8, the same shape.
        said: of each object in the order of ids.
        class_ids: whose agreement is asked for.

    Returns:
        Per class a number in [0, 1]; None for a class without objects, or where the witness is not sure.
    """
    known = labels != VOID
    theirs: dict[int, Mask] = {}
    unsure: set[int] = set()
    for number, one in zip(instance_ids(instances), said, strict=True):
        label = int(labels[instances == number][0])
        theirs[label] = theirs.get(label, np.zeros(labels.shape, bool)) | one.mask
        if one.confidence < SURE:
            unsure.add(label)
    return [
        iou(labels == label, theirs[label] & known) if label in theirs and label not in unsure else None
        for label in class_ids
    ]


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks of one shape; 0 where both are empty."""
    union = int(np.count_nonzero(one | other))
    return float(np.count_nonzero(one & other) / union) if union else 0.0
