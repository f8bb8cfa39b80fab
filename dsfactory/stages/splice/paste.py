"""Paste composition: objects cut out by their masks, on other backgrounds.

Copy-Paste (Ghiasi et al. 2021, arXiv 2012.07177) and X-Paste (Zhao et al. 2023, arXiv 2212.03863), with the difference
that the background is itself a labelled sample: what it shows keeps its labels, so the composed mask stays exact.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.stages.splice.augment import REFERENCE_SIDE
from dsfactory.stages.splice.scene import Scene, resize_smoothly

PLACES = 4
"""Random places that are tried; the best is taken."""


@dataclass(frozen=True)
class Cutout:
    """An object without its surroundings, in a frame just around it.

    Attributes:
        colour: float32 ``(height, width, 3)`` in [0, 255], times ``alpha``: black around the object, so that scaling
            and blurring draw nothing of its old background in.
        alpha: float32 ``(height, width)``: 1 on the object, 0 elsewhere.
        void: float32 ``(height, width)``: 1 on pixels enclosed by the object whose label is open.
        class_id: its class.
    """

    colour: NDArray[np.float32]
    alpha: NDArray[np.float32]
    void: NDArray[np.float32]
    class_id: int


def whole_objects(scene: Scene, min_area: int) -> list[int]:
    """Ids of the objects of at least ``min_area`` pixels that do not touch the border.

    An object that the frame cuts off would show a straight edge in the middle of another image.
    """
    edges = np.concatenate([scene.instances[0], scene.instances[-1], scene.instances[:, 0], scene.instances[:, -1]])
    numbers, areas = np.unique(scene.instances, return_counts=True)
    at_border = set(np.unique(edges).tolist())
    pairs = zip(numbers.tolist(), areas.tolist(), strict=True)
    return [number for number, area in pairs if number > 0 and area >= min_area and number not in at_border]


def cut(scene: Scene, number: int) -> Cutout:
    """Cut an object out of a scene by its mask; void pixels that it encloses come along and stay void."""
    outline = (scene.instances == number).astype(np.uint8)
    contours, _ = cv2.findContours(outline, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    enclosed = cv2.drawContours(np.zeros_like(outline), contours, -1, 1, cv2.FILLED).astype(bool)
    void = enclosed & (scene.mask == VOID)
    object_ = (outline > 0) | void
    x, y, width, height = cv2.boundingRect(object_.astype(np.uint8))
    window = np.s_[y : y + height, x : x + width]
    alpha = object_[window].astype(np.float32)
    colour = scene.image[window].astype(np.float32) * alpha[:, :, None]
    return Cutout(colour, alpha, void[window].astype(np.float32), int(scene.mask[outline > 0][0]))


def scaled(cutout: Cutout, factor: float, flip: bool, height: int, width: int) -> Cutout:
    """Scale a cutout by ``factor``, or by less where it would not fit the frame; on request, flip it left–right."""
    rows, columns = cutout.alpha.shape
    factor = min(factor, height / rows, width / columns)
    size = max(1, math.floor(rows * factor)), max(1, math.floor(columns * factor))
    step = -1 if flip else 1
    colour, alpha, void = (
        resize_smoothly(np.ascontiguousarray(values[:, ::step]), *size)
        for values in (cutout.colour, cutout.alpha, cutout.void)
    )
    return Cutout(colour, alpha, void, cutout.class_id)


def free_place(canvas: Scene, cutout: Cutout, rng: np.random.Generator) -> tuple[int, int]:
    """Where to paste a cutout: of a few random places, the one at which it hides least of the objects there.

    Generated images show their object large and in the middle, so that a single random place would mostly cover it.

    Returns:
        Row and column of the upper left corner.
    """
    rows, columns = cutout.alpha.shape
    tops = rng.integers(canvas.height - rows + 1, size=PLACES)
    lefts = rng.integers(canvas.width - columns + 1, size=PLACES)

    def hidden(place: tuple[int, int]) -> int:
        top, left = place
        shown = canvas.instances[top : top + rows, left : left + columns] > 0
        return int(np.count_nonzero(shown & (cutout.alpha >= 0.5)))

    return min(((int(top), int(left)) for top, left in zip(tops, lefts, strict=True)), key=hidden)


def paste(canvas: Scene, cutout: Cutout, top: int, left: int, feather: float) -> None:
    """Blend a cutout into a canvas, in place, as a new object.

    A pixel is the object's where the object has at least half of it, before the edge is feathered.

    Args:
        canvas: the scene to paste onto.
        cutout: lies within the canvas at its place.
        top: row of its upper edge.
        left: column of its left edge.
        feather: standard deviation in pixels of a 512² image of the Gaussian that softens the edge.
    """
    sigma = feather * max(canvas.height, canvas.width) / REFERENCE_SIDE
    margin = math.ceil(3 * sigma)
    rows, columns = cutout.alpha.shape
    colour, alpha = (
        cv2.copyMakeBorder(values, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
        for values in (cutout.colour, cutout.alpha)
    )
    if sigma > 0:
        colour, alpha = (cv2.GaussianBlur(values, (0, 0), sigma) for values in (colour, alpha))
    # What of the softened edge lies outside the canvas is cut.
    above, before = max(0, margin - top), max(0, margin - left)
    image = canvas.image[max(0, top - margin) : top + rows + margin, max(0, left - margin) : left + columns + margin]
    part = np.s_[above : above + image.shape[0], before : before + image.shape[1]]
    share = np.clip(alpha[part], 0.0, 1.0)[:, :, None]
    image[:] = np.clip(np.rint(colour[part] + (1.0 - share) * image), 0, 255).astype(np.uint8)

    owned = cutout.alpha >= 0.5
    open_ = owned & (cutout.void >= 0.5)
    mask = canvas.mask[top : top + rows, left : left + columns]
    instances = canvas.instances[top : top + rows, left : left + columns]
    new_id = int(canvas.instances.max()) + 1
    mask[owned] = cutout.class_id
    instances[owned] = new_id
    mask[open_] = VOID
    instances[open_] = 0
