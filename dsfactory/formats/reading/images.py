"""Images from elsewhere, read with suspicion: none is believed to be what it claims."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.png import MAX_PIXELS

JPEG_LEVELS = 8.0
"""Mean difference of two JPEGs of one image that another version of the encoder may make, in levels of 255."""


def check_size(height: int, width: int) -> tuple[int, int]:
    """``(height, width)`` of an image.

    Raises:
        ValueError: they are none of an image that is decoded.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"an image of {width} × {height} pixels: none, or too many")
    return height, width


def open_image(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    """An image of one of the formats, by their names in PIL, decoded in full.

    Raises:
        ValueError: it is none, it is cut short, or it claims too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the next line is stricter
            image = Image.open(io.BytesIO(data), formats=formats)
        check_size(image.height, image.width)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(str(error).partition(" <_io")[0]) from error
    return image


def decode(data: bytes) -> Image.Image:
    """Any image that another tool may write, decoded in full.

    Raises:
        ValueError: it is none, or too large. The message goes on after the image's name.
    """
    try:
        return open_image(data, ("PNG", "JPEG", "BMP", "WEBP", "TIFF"))
    except ValueError as error:
        raise ValueError(f"is not a readable image ({error})") from error


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 ``(height, width, 3)``."""
    return np.array(image.convert("RGB"), dtype=np.uint8)


def same_picture(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two images are one, saved as JPEGs by different encoders, or one of them not at all."""
    return one.shape == other.shape and float(np.abs(one.astype(np.float32) - other).mean()) <= JPEG_LEVELS
