"""What is known of each object of a label that bears on whether it is right: a few numbers, no truth."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.dataset.witness import instance_ids
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.fuse import fuse_maps, resize_maps, stretch

FEATURES = {
    "margin": "attention to the class, stretched to [0, 1]: mean in the object less mean around it",
    "claim": "IoU of what the class's map alone would label with what the class got",
    "rival": "attention to the other class that has most of it in the object, stretched, mean",
    "share": "the object's share of all that is labelled with its class",
    "edge": "share of the image whose colours change less than on the object's outline, mean along it",
    "spread": "the class's attention spread along self-attention, mean around the object; where it was captured",
    "flip": "agreement with the mirror image's label, where filter has heard that witness",
    "folds": "agreement with the network that learnt from other samples, where filter has run",
}
"""What each number says. All are in [0, 1], margin in [-1, 1]."""

NEEDED = ("missing", "claim")
"""Columns of labels that say something about trust; the first came with version 7 of refine."""

_HEARD = {"flip": "agree_flip", "folds": "iou"}
"""Columns of filter, with a value per class."""

RING = 0.04
"""How far around an object its surroundings reach, as a share of the image's longer side."""
COUNTED = 4096
"""Pixels of an image, about, with which an outline is compared."""

Labels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def object_evidence(
    row: Mapping[str, Any],
    classes: Sequence[str],
    image: NDArray[np.uint8],
    mask: Labels,
    instances: Labels,
    maps: Evidence,
) -> dict[int, dict[str, float]]:
    """What is known of each object.

    Args:
        row: of the labels: ``classes`` that the image was to show, and per class ``claim`` and what witnesses said.
        classes: of the run; the first has id 1.
        image: uint8 RGB ``(height, width, 3)``.
        mask: uint8 ``(height, width)``: class ids, 0 background, 255 void.
        instances: uint8, the same shape.
        maps: the model's attention to the row's classes.

    Returns:
        By instance id some of :data:`FEATURES`. Objects of a class that the image was not to show are not there: a
        person labelled them.
    """
    fused = fuse_maps(maps.cross, mask.shape, RefineConfig().resolution_weights)
    spread = stretch(resize_maps(maps.affinity[max(maps.affinity)], mask.shape)) if maps.affinity else None
    changes, ranks = _changes(image)
    places = {classes.index(name) + 1: place for place, name in enumerate(row["classes"])}
    areas = np.bincount(mask.ravel(), minlength=VOID + 1)
    found: dict[int, dict[str, float]] = {}
    for number in instance_ids(instances):
        own = instances == number
        label = int(mask[own][0])
        if label not in places:
            continue
        place = places[label]
        window = _window(own)
        pixels, around, outline = _parts(own[window], max(mask.shape))
        inside = fused[(slice(None), *window)][:, pixels].mean(axis=1)
        others = [value for other, value in enumerate(inside) if other != place]
        found[number] = {
            "margin": float(inside[place] - _mean(fused[(place, *window)], around)),
            "claim": float(row["claim"][place]),
            "rival": float(max(others, default=0.0)),
            "share": float(np.count_nonzero(own) / areas[label]),
            "edge": float(np.searchsorted(ranks, changes[window][outline]).mean() / len(ranks)),
            **({"spread": _mean(spread[(place, *window)], around)} if spread is not None else {}),
            **_heard(row, place),
        }
    return found


def _changes(image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """How much colours change at each pixel or beside it, float32 ``(height, width)``, and some of these in order."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    slopes = [np.abs(cv2.Sobel(smooth, cv2.CV_16S, *axis)).max(axis=2) for axis in ((1, 0), (0, 1))]
    change = np.hypot(*(slope.astype(np.float32) for slope in slopes))
    beside = np.asarray(cv2.dilate(change, np.ones((3, 3), np.uint8)), np.float32)
    return beside, np.sort(change.ravel()[:: max(1, change.size // COUNTED)])


def _window(own: NDArray[np.bool_]) -> tuple[slice, slice]:
    """An object's box and what is around it."""
    reach = _reach(max(own.shape))
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    first = (max(0, int(rows[0]) - reach), max(0, int(columns[0]) - reach))
    return slice(first[0], int(rows[-1]) + reach + 1), slice(first[1], int(columns[-1]) + reach + 1)


def _reach(side: int) -> int:
    return max(1, round(RING * side))


def _parts(own: NDArray[np.bool_], side: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """An object, what is around it, and its outline, all within its window."""
    pixels = own.astype(np.uint8)
    width = 2 * _reach(side) + 1
    around = cv2.dilate(pixels, np.ones((width, width), np.uint8)) > 0
    inner = cv2.erode(pixels, np.ones((3, 3), np.uint8), borderValue=1) > 0
    outline = own & ~inner
    return own, around & ~own, outline if outline.any() else own


def _mean(values: Floats, where: NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else 0.0


def _heard(row: Mapping[str, Any], place: int) -> dict[str, float]:
    """What witnesses said of a class."""
    said = {name: row.get(column) for name, column in _HEARD.items()}
    return {name: float(values[place]) for name, values in said.items() if values and values[place] is not None}
