"""Labels as they come back, in the run's own terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.exported import TERMS, label_hash, numbered
from dsfactory.formats.voc.layout import VOID_NAMES

MAX_INSTANCES = 254


def _no_size(name: str) -> None:
    return None


@dataclass(frozen=True)
class Expected:
    """What a reader has to know of the run that labels come back to.

    Attributes:
        classes: display names; the first has id 1.
        size: height and width of an image by its file name, for files that do not say; None for an unknown one.
        binary: the class id that all of a mask without ids means; 0 where masks hold ids.
    """

    classes: Sequence[str]
    size: Callable[[str], tuple[int, int] | None] = _no_size
    binary: int = 0


@dataclass(frozen=True)
class FixedLabels:
    """An image's labels from another tool.

    Attributes:
        name: the image's file name as the tool has it, folders included.
        mask: uint8 ``(height, width)``: class ids 1…N, 0 background, 255 void.
        instances: integer ``(height, width)``: distinct positive numbers for distinct objects, 0 elsewhere; None where
            the format has none, and the parts of each class count as objects.
        knows_void: whether background in ``mask`` was meant to be background; if not, it may have been void.
        image: name in the source of the image that was looked at; None where it did not come along.
        doubt: why these labels are not taken unless the run has them already; empty for good ones.
        only: the one class that the labels speak of; 0 for all.
    """

    name: str
    mask: NDArray[np.uint8]
    instances: NDArray[np.integer] | None
    knows_void: bool
    image: str | None = None
    doubt: str = ""
    only: int = 0

    @property
    def key(self) -> str:
        """The file name without folders and extension: the sample's key, where no tool has changed it."""
        return stem_of(self.name)

    @cached_property
    def said(self) -> tuple[int, str]:
        """Which of TERMS the labels are in, and their hash, to be compared with what was exported.

        Raises:
            ValueError: there are too many objects.
        """
        mask, instances = finished(self, None)
        terms = TERMS.index((self.instances is not None, self.knows_void))
        return terms, label_hash(mask, instances if self.instances is not None else None)


@dataclass(frozen=True)
class Unread:
    """An image, or something else, whose labels cannot be used.

    Attributes:
        name: the image's file name as the tool has it, or what else it is: ``"image 7"``.
        reason: goes on after the name: ``"has no size"``.
    """

    name: str
    reason: str


def stem_of(name: str) -> str:
    """A file name without folders, of Windows too, and without its extension."""
    return PurePosixPath(name.replace("\\", "/")).stem


def class_id(label: str, classes: Sequence[str]) -> int:
    """The id of a class by its name, in any case; 255 for what tools call void, unless it is a class.

    Raises:
        ValueError: the run has no such class, or several that differ in case alone.
    """
    if label in classes:
        return list(classes).index(label) + 1
    plain = str(label).strip().casefold()
    near = [number for number, name in enumerate(classes, start=1) if name.casefold() == plain]
    if len(near) == 1:
        return near[0]
    if plain in VOID_NAMES:
        return VOID
    raise ValueError(f"the label {str(label)[:60]!r} is no class of the run: it has {', '.join(classes)} (and void)")


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
    instances, count = numbered(mask, _parts(mask, labelled) if fixed.instances is None else fixed.instances)
    if count > MAX_INSTANCES:
        raise ValueError(f"has {count} objects, more than {MAX_INSTANCES}")
    return mask, instances.astype(np.uint8)


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
