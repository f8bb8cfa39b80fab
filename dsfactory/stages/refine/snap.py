"""A second witness for outlines: attention says what is there, a promptable segmenter says where it ends.

Each object of our mask becomes a prompt: its box, points deep inside it, and points in the other objects. Where the
segmenter's mask agrees with ours and it is sure, its outline is taken. Where they agree in part, the pixels about which
they differ become ignore. Where they do not, the segmenter has found another thing, and ours stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.sample import box_of
from dsfactory.dataset.witness import Said, Witness, instance_ids, iou
from dsfactory.segment.prompts import Prompt

AGREE, SURE = 0.8, 0.88
"""IoU with our mask, and expected IoU, from which the segmenter's outline is taken. 0.88 is SAM's own limit for masks
that are kept (Kirillov et al. 2023, appendix B)."""
DIFFER = 0.5
"""IoU below which the two speak of different things."""
INSIDE, OUTSIDE = 3, 4
"""Points in the object, and in its nearest neighbours."""

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Segmenter = Callable[[NDArray[np.uint8], Sequence[Prompt]], list[tuple[Mask, float]]]
"""From an image and prompts to a mask and its expected IoU per prompt; see
:meth:`dsfactory.segment.promptable.Promptable.masks`."""


def prompted(segmenter: Segmenter) -> Witness:
    """A promptable segmenter as a witness: asked about each object by its box and by points."""

    def hear(image: NDArray[np.uint8], labels: Labels, instances: Labels, class_ids: Sequence[int]) -> list[Said]:
        ours = [instances == number for number in instance_ids(instances)]
        return [Said(*answer) for answer in segmenter(image, prompts_for(ours))] if ours else []

    return hear


@dataclass(frozen=True)
class Snapped:
    """Labels after the witness was heard.

    Attributes:
        labels: uint8 ``(height, width)``: class ids, 0 background, 255 void.
        instances: uint8, same shape, ids as before.
        iou: of each instance by its id from 1: IoU of the witness's mask with ours.
        score: of each: the IoU that the witness expects of its mask.
    """

    labels: Labels
    instances: Labels
    iou: tuple[float, ...]
    score: tuple[float, ...]


def snap(image: NDArray[np.uint8], labels: Labels, instances: Labels, witness: Witness) -> Snapped:
    """Hear the witness about every object.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        labels: uint8 ``(height, width)``: class ids, 0 background, 255 void.
        instances: uint8, same shape: ids from 1, 0 background, 255 void.
        witness: who is asked.
    """
    ids = instance_ids(instances)
    if not ids:
        return Snapped(labels, instances, (), ())
    ours = [instances == number for number in ids]
    answers = witness(image, labels, instances, sorted({int(labels[one][0]) for one in ours}))
    new_labels, new_instances = labels.copy(), instances.copy()
    others = np.isin(instances, ids)
    ious, scores = [], []
    for number, mine, (mask, score) in zip(ids, ours, answers, strict=True):
        theirs = mask & ~(others & ~mine)  # what another object has is not asked for
        # Void is nobody's: whether the witness counts it to the object says nothing about agreement.
        known = labels != VOID
        agreement = iou(mine, theirs & known)
        ious.append(agreement)
        scores.append(score)
        if score < SURE or agreement < DIFFER:
            continue
        gained, lost = theirs & ~mine, mine & ~theirs
        if agreement >= AGREE:
            new_labels[gained], new_instances[gained] = labels[mine][0], number
            new_labels[lost], new_instances[lost] = BACKGROUND, BACKGROUND
        else:
            differing = (gained & known) | lost
            new_labels[differing] = new_instances[differing] = VOID
    return Snapped(new_labels, new_instances, tuple(ious), tuple(scores))


def prompts_for(objects: Sequence[Mask]) -> list[Prompt]:
    """A prompt for each object: its box, the points farthest from its edge, and those of its nearest neighbours."""
    centres = [deep_points(one, INSIDE) for one in objects]
    prompts = []
    for number, one in enumerate(objects):
        x, y, width, height = box_of(one)
        first = np.array(centres[number][0])
        near = sorted(
            (other[0] for place, other in enumerate(centres) if place != number),
            key=lambda point: float(np.hypot(*(np.array(point) - first))),
        )
        prompts.append(Prompt((x, y, x + width, y + height), tuple(centres[number]), tuple(near[:OUTSIDE])))
    return prompts


def deep_points(mask: Mask, count: int) -> list[tuple[float, float]]:
    """Up to ``count`` points x, y of a mask, each farthest from its edge and from those before it."""
    points: list[tuple[float, float]] = []
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    while len(points) < count and distance.max() > 0:
        row, column = np.unravel_index(int(distance.argmax()), distance.shape)
        points.append((float(column), float(row)))
        radius = max(1, int(distance[row, column]))
        cv2.circle(distance, (int(column), int(row)), max(1, radius // 2), 0.0, thickness=-1)
    return points
