"""Labels as they come back, in the run's own terms."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.errors import UserError

MAX_INSTANCES = 254


@dataclass(frozen=True)
class FixedLabels:
    """A sample's labels from another tool.

    Attributes:
        key: the sample's key: the image's file name without its extension.
        mask: uint8 ``(height, width)``: class ids 1…N, 0 background, 255 void.
        instances: integer ``(height, width)``: distinct positive numbers for distinct objects, 0 elsewhere; None where
            the format has none, and the parts of each class count as objects.
        knows_void: whether background in ``mask`` was meant to be background; if not, it may have been void.
        image: the image that was looked at, any encoding; None where it did not come along.
    """

    key: str
    mask: NDArray[np.uint8]
    instances: NDArray[np.integer] | None
    knows_void: bool
    image: bytes | None = None


def class_id(label: str, classes: Sequence[str]) -> int:
    """The id of a class by its name.

    Raises:
        UserError: the run has no such class.
    """
    if label not in classes:
        raise UserError(f"the label {label[:60]!r} is no class of the run: it has {', '.join(classes)} (and void)")
    return list(classes).index(label) + 1


def finished(fixed: FixedLabels, before: NDArray[np.uint8] | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Mask and instances as the run stores them: uint8, instances numbered from 1 by their first pixel, void as 255.

    Args:
        fixed: what came back.
        before: the mask that the run has, for formats that know no void: what they leave open stays void.

    Raises:
        ValueError: there are too many objects for an 8-bit image.
    """
    mask = fixed.mask.copy()
    if before is not None and not fixed.knows_void:
        mask[(mask == BACKGROUND) & (before == VOID)] = VOID
    labelled = (mask != BACKGROUND) & (mask != VOID)
    numbers = _parts(mask, labelled) if fixed.instances is None else fixed.instances.astype(np.int64)
    # An object is of one class: what another format allows to be two becomes two.
    joint = np.where(labelled, numbers * 256 + mask, 0)
    found, first, inverse = np.unique(joint, return_index=True, return_inverse=True)
    order = np.argsort(np.where(found == 0, -1, first))
    if len(found) - 1 > MAX_INSTANCES:
        raise ValueError(f"it has {len(found) - 1} objects, more than {MAX_INSTANCES}")
    ranks = np.empty(len(found), dtype=np.uint8)
    ranks[order] = np.arange(len(found)) if found[0] == 0 else np.arange(1, len(found) + 1)
    instances = ranks[inverse].reshape(mask.shape)
    instances[mask == VOID] = VOID
    return mask, instances


def _parts(mask: NDArray[np.uint8], labelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    parts = np.zeros(mask.shape, dtype=np.int64)
    for class_id in np.unique(mask[labelled]):
        _, found = cv2.connectedComponents((mask == class_id).astype(np.uint8), connectivity=8)
        parts += np.where(found > 0, found + parts.max(), 0)
    return parts


def same_labels(
    one: tuple[NDArray[np.uint8], NDArray[np.uint8]], other: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> bool:
    """Whether two pairs of mask and instances say the same, whatever numbers the instances have."""
    if not np.array_equal(one[0], other[0]):
        return False
    pairs = np.unique(one[1].astype(np.int64) * 256 + other[1])
    return len(pairs) == len(np.unique(one[1])) == len(np.unique(other[1]))
