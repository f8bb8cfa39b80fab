"""PNG encoding and decoding with reproducible bytes.

Masks are 8-bit palette images (PIL mode ``P``) with the PASCAL VOC colour map, so that a pixel's value is
its class or instance id and a viewer still shows distinct colours.
"""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.errors import DamagedImage

MAX_PIXELS = 1 << 26
"""Largest image that is decoded, 8192² pixels: a small file can claim any size."""

_DEPTHS = (8, 10, 12)
"""Bits of values that cameras store in files of 16 bits."""

_COMPRESS_LEVEL = 6
"""Fixed, because the zlib level decides the bytes."""


@cache
def voc_palette() -> bytes:
    """The PASCAL VOC colour map as 768 bytes (256 RGB triples).

    Colour ``i`` takes the bits of ``i`` three at a time, lowest first, and spreads them over the high bits of
    red, green and blue (VOC development kit, ``VOClabelcolormap.m``): 0 is black, 1 is (128, 0, 0) and 255,
    the void label, is (224, 224, 192).
    """
    colours = np.zeros((256, 3), dtype=np.uint8)
    for index in range(256):
        bits = index
        for shift in range(7, -1, -1):
            for channel in range(3):
                colours[index, channel] |= (bits >> channel & 1) << shift
            bits >>= 3
    return colours.tobytes()


def encode_index_png(indices: NDArray[np.uint8]) -> bytes:
    """Encode an index image as a palette PNG.

    Args:
        indices: uint8 array of shape ``(height, width)``; each value is a palette index.

    Returns:
        The PNG file; equal arrays give equal bytes.

    Raises:
        ValueError: The array is not two-dimensional uint8.
    """
    if indices.ndim != 2 or indices.dtype != np.uint8:
        raise ValueError(f"an index image is uint8 (height, width), not {indices.dtype} {indices.shape}")
    image = Image.fromarray(indices)
    image.putpalette(voc_palette())
    return _encode(image)


def decode_index_png(data: bytes) -> NDArray[np.uint8]:
    """Decode a palette or 8-bit grey PNG to its indices.

    Args:
        data: The PNG file.

    Returns:
        uint8 array of shape ``(height, width)``.

    Raises:
        DamagedImage: The bytes are not a readable PNG, or the image holds colours instead of indices.
    """
    image = _decode(data)
    if image.mode not in ("P", "L"):
        raise DamagedImage(f"an index image has PNG mode P or L, not {image.mode}")
    return np.array(image, dtype=np.uint8)


def encode_rgb_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image as a PNG.

    Args:
        pixels: uint8 array of shape ``(height, width, 3)``, sRGB in [0, 255].

    Returns:
        The PNG file; equal arrays give equal bytes.

    Raises:
        ValueError: The array is not uint8 of that shape.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"an RGB image is uint8 (height, width, 3), not {pixels.dtype} {pixels.shape}")
    return _encode(Image.fromarray(pixels))


def decode_rgb_png(data: bytes) -> NDArray[np.uint8]:
    """Decode a PNG of any colour mode to RGB; grey of 16 bits is scaled to 8.

    Args:
        data: The PNG file.

    Returns:
        uint8 array of shape ``(height, width, 3)``.

    Raises:
        DamagedImage: The bytes are not a readable PNG.
    """
    image = _decode(data)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint16)
        image = Image.fromarray((values >> too_deep(values)).astype(np.uint8))
    return np.array(image.convert("RGB"), dtype=np.uint8)


def encode_grey_png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encode a grey image as a PNG of its own depth.

    Args:
        pixels: uint8 or uint16 array of shape ``(height, width)``.

    Returns:
        The PNG file; equal arrays give equal bytes.

    Raises:
        ValueError: The array is neither.
    """
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a grey image is uint8 or uint16 (height, width), not {pixels.dtype} {pixels.shape}")
    return _encode(Image.fromarray(pixels))


def too_deep(values: NDArray[np.uint16]) -> int:
    """By how many bits values of 16 are too deep for 8: cameras write 10 or 12 bits as they are into such files."""
    largest = int(values.max(initial=0))
    return next((bits for bits in _DEPTHS if largest < 1 << bits), 16) - 8


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=_COMPRESS_LEVEL)
    return buffer.getvalue()


def _decode(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} × {image.height} pixels are too many")
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # PIL reports a broken chunk as SyntaxError and a cut file as OSError.
        raise DamagedImage(f"not a readable PNG: {error}") from error
    return image
