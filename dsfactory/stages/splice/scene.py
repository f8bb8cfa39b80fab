"""An image with its labels, as it is taken apart and put together."""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.errors import DamagedImage

ValueT = TypeVar("ValueT", np.uint8, np.float32)

MAX_INSTANCES = 254
"""Instance images are 8-bit: 0 is background, 255 void, and the ids lie between."""


@dataclass(frozen=True)
class Scene:
    """An image under construction.

    Attributes:
        image: uint8 ``(height, width, 3)``, sRGB.
        mask: uint8 ``(height, width)``: class ids, 0 background, 255 void.
        instances: uint16 ``(height, width)``: an id wherever the mask has a class, 0 elsewhere, also on void. Wider
            than the files' 8 bits, for the parts of a mosaic may have more than 254 objects together.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    instances: NDArray[np.uint16]

    @property
    def height(self) -> int:
        return int(self.mask.shape[0])

    @property
    def width(self) -> int:
        return int(self.mask.shape[1])

    def crop(self, top: int, left: int, height: int, width: int) -> "Scene":
        window = np.s_[top : top + height, left : left + width]
        return Scene(self.image[window], self.mask[window], self.instances[window])


def decode_scene(image_png: bytes, mask_png: bytes, instances_png: bytes) -> Scene:
    """A finished sample's files as a scene.

    Raises:
        DamagedImage: they cannot be decoded, or differ in size.
    """
    image, mask, instances = decode_rgb_png(image_png), decode_index_png(mask_png), decode_index_png(instances_png)
    if len({image.shape[:2], mask.shape, instances.shape}) > 1:
        raise DamagedImage("image, mask and instances differ in size")
    return Scene(image, mask, np.where(mask == VOID, 0, instances).astype(np.uint16))


def empty_scene(height: int, width: int) -> Scene:
    return Scene(
        np.zeros((height, width, 3), np.uint8),
        np.zeros((height, width), np.uint8),
        np.zeros((height, width), np.uint16),
    )


def resize(scene: Scene, height: int, width: int) -> Scene:
    """Scale a scene: the image by area averages (linearly where it grows), labels by the nearest pixel's centre."""
    if (height, width) == (scene.height, scene.width):
        return scene
    size = (width, height)
    return Scene(
        resize_smoothly(scene.image, height, width),
        np.asarray(cv2.resize(scene.mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
        np.asarray(cv2.resize(scene.instances, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint16),
    )


def resize_smoothly(values: NDArray[ValueT], height: int, width: int) -> NDArray[ValueT]:
    """Scale an image or a map ``(height, width[, channels])``: area averages down, linear interpolation up."""
    shrinks = height <= values.shape[0] and width <= values.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=interpolation), values.dtype)


def fill(scene: Scene, height: int, width: int) -> Scene:
    """Scale a scene to cover a frame and cut what sticks out, the same on both sides."""
    scale = max(height / scene.height, width / scene.width)
    inner_height = min(scene.height, max(1, round(height / scale)))
    inner_width = min(scene.width, max(1, round(width / scale)))
    top, left = (scene.height - inner_height) // 2, (scene.width - inner_width) // 2
    return resize(scene.crop(top, left, inner_height, inner_width), height, width)


def place(canvas: Scene, part: Scene, top: int, left: int) -> None:
    """Write a scene onto a canvas, in place; its objects get ids of their own."""
    window = np.s_[top : top + part.height, left : left + part.width]
    # Before the window is overwritten: what it hides may be part of an object that goes on beside it.
    first = int(canvas.instances.max())
    canvas.image[window] = part.image
    canvas.mask[window] = part.mask
    canvas.instances[window] = np.where(part.instances > 0, part.instances + first, 0)


def finish(scene: Scene, min_area: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels as files hold them.

    Objects of fewer than ``min_area`` pixels become void, and so do the smallest of more than 254 objects: 8 bits have
    no id for them, and void is never wrong. The others are numbered from 1 in the order in which they were placed.

    Returns:
        Mask and instances, uint8 ``(height, width)``.
    """
    numbers, where, areas = np.unique(scene.instances, return_inverse=True, return_counts=True)
    objects = np.flatnonzero((numbers > 0) & (areas >= min_area))
    largest = objects[np.argsort(-areas[objects], kind="stable")][:MAX_INSTANCES]
    new_ids = np.full(len(numbers), VOID, np.uint8)
    new_ids[np.sort(largest)] = np.arange(1, len(largest) + 1)
    new_ids[numbers == 0] = BACKGROUND
    instances: NDArray[np.uint8] = new_ids[where].reshape(scene.mask.shape)
    mask = np.where(instances == VOID, np.uint8(VOID), scene.mask)
    return mask, np.where(mask == VOID, np.uint8(VOID), instances)
