"""Checks that all formats share."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.png import MAX_PIXELS
from dsfactory.errors import UserError


def class_id(label: str, classes: Sequence[str]) -> int:
    """The id of a class by its name.

    Raises:
        UserError: the run has no such class.
    """
    if label not in classes:
        raise UserError(f"the label {label[:60]!r} is no class of the run: it has {', '.join(classes)} (and void)")
    return list(classes).index(label) + 1


def check_size(height: int, width: int) -> tuple[int, int]:
    """``(height, width)`` of an image.

    Raises:
        ValueError: they are none of an image that is decoded.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"an image of {width} × {height} pixels")
    return height, width


def decode(data: bytes, name: str) -> Image.Image:
    """Any image, decoded in full.

    Raises:
        UserError: it is none, or too large.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "BMP", "WEBP", "TIFF"))
        check_size(image.height, image.width)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} is not a readable image ({error})") from error
    return image


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 ``(height, width, 3)``."""
    return np.array(image.convert("RGB"), dtype=np.uint8)
