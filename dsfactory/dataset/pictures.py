"""Reading somebody's own pictures, which come from anywhere.

Every file either becomes 8-bit RGB as a viewer shows it, or a reason of a few words why it cannot.
"""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from dsfactory.core.png import MAX_PIXELS as MAX_DECODED
from dsfactory.core.png import too_deep

MAX_PIXELS = 1 << 24
"""Largest picture that is labelled; larger ones are scaled to it. Refining takes 0.4 GB and two seconds of a core per
million pixels."""

MAX_FILE = 1 << 30
"""Largest file that is read, in bytes."""

MIN_SIDE = 16
"""Smaller pictures show nothing that could be labelled."""

KINDS = {
    "JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif", "GIF": "gif",
    "AVIF": "avif", "HEIF": "heic",
}  # fmt: skip
"""What Pillow calls the formats that are read, and how their names end here."""


_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Looked:
    """A picture as a viewer shows it.

    Attributes:
        pixels: uint8 ``(height, width, 3)``, sRGB: turned as its EXIF says, transparency on white, deeper values
            scaled to 8 bits; at most MAX_PIXELS. Colour profiles are not applied.
        width: of the file itself, turned as its EXIF says.
        height: of the file itself, turned as its EXIF says.
        kind: one of the values of KINDS.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    kind: str


def readable_kinds() -> frozenset[str]:
    """The values of KINDS that can be read on this machine."""
    missing = {"avif"} if not features.check("avif") else set()
    missing |= {"heic"} if find_spec("pillow_heif") is None else set()
    return frozenset(KINDS.values()) - missing


def read_file(path: Path) -> bytes:
    """A picture's file.

    Raises:
        ValueError: it cannot be read; says why in a few words.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a plain file")
        if found.st_size == 0:
            raise ValueError("an empty file")
        if found.st_size > MAX_FILE:
            raise ValueError(f"more than {MAX_FILE >> 20} MB")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(os.strerror(error.errno) if error.errno else "cannot be read") from error


def look_at(data: bytes, limit: int = MAX_PIXELS) -> Looked:
    """Decode a picture's file, scaled down to a number of pixels where it has more.

    Raises:
        ValueError: why it cannot be one, in a few words that equal faults share.
    """
    with _opened(data) as image:
        kind = KINDS[image.format or ""]
        deep = _deep_colours(image, data)
        image.load()
        upright = _eight_bits(ImageOps.exif_transpose(image if deep is None else deep))
        width, height = upright.size
        if width * height > limit:
            share = (limit / (width * height)) ** 0.5
            size = (max(1, int(width * share)), max(1, int(height * share)))
            upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
            upright = upright.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        return Looked(np.asarray(_as_rgb(upright), dtype=np.uint8), width, height, kind)


def turned(data: bytes, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels ``(height, width)`` of a picture as it is stored, turned as its EXIF says."""
    with _opened(data) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
    stored = Image.fromarray(labels)
    stored.getexif()[_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(stored), dtype=np.uint8)


def kind_of(data: bytes) -> str:
    """What a picture's file is, one of the values of KINDS. Reads its head only.

    Raises:
        ValueError: see :func:`look_at`.
    """
    with _opened(data) as image:
        return KINDS[image.format or ""]


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """A picture, open for the block. What goes wrong in it becomes a reason of a few words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and about sizes that are looked at here
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                _check_picture(image)
                yield image
    except _Unfit as error:
        raise ValueError(str(error)) from error
    except UnidentifiedImageError as error:
        raise ValueError("not a picture, or of a kind that is not read here") from error
    except Image.DecompressionBombError as error:
        raise ValueError(_TOO_LARGE) from error
    except Exception as error:  # Pillow lets SyntaxError, struct.error, KeyError and more through for hostile bytes
        raise ValueError("cut off or damaged") from error


class _Unfit(Exception):
    """The picture is readable but cannot be used."""


_TOO_LARGE = f"more than {MAX_DECODED // 10**6} million pixels"


def _formats() -> tuple[str, ...]:
    kinds = readable_kinds()
    if "heic" in kinds:
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found, unused-ignore]

        register_heif_opener()
    return tuple(name for name, kind in KINDS.items() if kind in kinds and name != "MPO")


def _check_picture(image: Image.Image) -> None:
    if image.width * image.height > MAX_DECODED:
        raise _Unfit(_TOO_LARGE)
    if min(image.size) < MIN_SIDE:
        raise _Unfit(f"less than {MIN_SIDE} pixels wide or high")
    # Phones store a preview as a second picture (MPO, a kind of JPEG), which makes no film.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise _Unfit("several frames or pages: save the one to label as a picture of its own")


def _deep_colours(image: Image.Image, data: bytes) -> Image.Image | None:
    """A colour picture of 16 bits scaled to 8 (Pillow would take the upper 8 bits); None for all others."""
    tiles: Any = getattr(image, "tile", None)
    tile = tiles[0][3] if tiles else ""
    raw = tile if isinstance(tile, str) else str(tile[0]) if tile else ""
    if image.mode not in ("RGB", "RGBA") or ";16" not in raw:
        return None
    values: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[:2] != image.size[::-1]:
        return None
    colours = cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB
    scaled: NDArray[np.uint16] = cv2.cvtColor(values, colours)
    shift = too_deep(scaled[:, :, :3])
    scaled[:, :, :3] >>= shift
    scaled[:, :, 3:] >>= 8  # transparency is never stored with fewer bits
    eight = Image.fromarray(scaled.astype(np.uint8))
    eight.info["exif"] = image.getexif().tobytes()  # it says how to turn the picture
    return eight


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits as one of 8; all others as they are."""
    if image.mode in ("I", "F"):
        raise _Unfit("32 bits a pixel: convert it to 8 or 16 bits")
    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint16)
    return Image.fromarray((values >> too_deep(values)).astype(np.uint8))


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        drawn = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    return image.convert("RGB")
