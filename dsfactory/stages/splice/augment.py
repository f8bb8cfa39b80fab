"""Blur, occlusion and perspective (DiffuMask, arXiv 2303.11681, section 3.4).

The transforms are OpenCV's. Albumentations would call the same functions, but it is no longer maintained and asks the
package index for updates when it is imported; kornia would take every image through float tensors and torch's global
generator.
"""

import math
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.stages.splice.scene import Scene, fill, place

ValueT = TypeVar("ValueT", np.uint8, np.uint16)

REFERENCE_SIDE = 512
"""Widths in pixels are those of an image of this longer side."""

KERNEL_LENGTHS = (6.0, 22.0)
"""Range of the Gaussian kernel's length in pixels, as in the paper."""
BLOCK_AREAS = (0.05, 0.25)
"""Range of an occluding block's share of the image."""
MAX_SHIFT = 0.15
"""How far a corner moves in at most, as a share of the side."""


def blur(scene: Scene, rng: np.random.Generator) -> Scene:
    """Blur the image with a Gaussian kernel of random length; labels stay."""
    length = rng.uniform(*KERNEL_LENGTHS) * max(scene.height, scene.width) / REFERENCE_SIDE
    # OpenCV's own rule for the width that fits a kernel's length.
    sigma = max(0.3, 0.3 * ((length - 1) / 2 - 1) + 0.8)
    return Scene(np.asarray(cv2.GaussianBlur(scene.image, (0, 0), sigma), np.uint8), scene.mask, scene.instances)


def occlude(scene: Scene, other: Scene, rng: np.random.Generator) -> Scene:
    """Cover a block with the same block of another scene, labels included.

    So it is done in the paper after CutMix (Yun et al. 2019): what is covered is gone, and what covers it is no blank
    rectangle but a part of an image whose labels are known. An object that shows on both sides of the block stays one.
    """
    share, shape = rng.uniform(*BLOCK_AREAS), math.exp(rng.uniform(-math.log(2), math.log(2)))
    height = min(scene.height, max(1, round(scene.height * math.sqrt(share * shape))))
    width = min(scene.width, max(1, round(scene.width * math.sqrt(share / shape))))
    top = int(rng.integers(scene.height - height + 1))
    left = int(rng.integers(scene.width - width + 1))
    result = Scene(scene.image.copy(), scene.mask.copy(), scene.instances.copy())
    place(result, fill(other, scene.height, scene.width).crop(top, left, height, width), top, left)
    return result


def perspective(scene: Scene, rng: np.random.Generator) -> Scene:
    """See the scene from another viewpoint: a random quadrilateral inside the frame becomes the frame.

    Nothing from outside the frame comes in, so no pixel needs an invented label.
    """
    height, width = scene.height, scene.width
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (width, height)
    seen = frame + (rng.uniform(0.0, MAX_SHIFT, (4, 2)) * inwards).astype(np.float32)
    # Corners of the frame are corners of pixels, whose centres OpenCV puts at whole numbers.
    matrix = cv2.getPerspectiveTransform(seen - np.float32(0.5), frame - np.float32(0.5))

    def warp(values: NDArray[ValueT], interpolation: int) -> NDArray[ValueT]:
        warped = cv2.warpPerspective(
            values, matrix, (width, height), flags=interpolation, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(warped, values.dtype)

    return Scene(
        warp(scene.image, cv2.INTER_LINEAR),
        warp(scene.mask, cv2.INTER_NEAREST),
        warp(scene.instances, cv2.INTER_NEAREST),
    )
