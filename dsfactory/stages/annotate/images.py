"""Finding and reading pictures that come from anywhere.

Every picture either becomes 8-bit RGB as a viewer shows it, or a reason of a few words why it cannot.
"""

import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dsfactory.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""What a picture's name ends in, in any case."""

MAX_PIXELS = 1 << 24
"""Largest picture that is read. Refining takes 0.4 GB and two seconds of a core per million pixels."""

MIN_SIDE = 16
"""Smaller pictures show nothing that could be labelled."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


def find_images(root: Path, leave_out: Path) -> list[str]:
    """Names of the pictures below a folder, relative to it, with slashes, sorted.

    Links to folders are not followed, hidden files and folders are passed over, and so is everything that is not named
    like a picture (:data:`EXTENSIONS`). A file given as ``root`` is taken whatever its name.

    Args:
        root: a folder or a file.
        leave_out: a folder whose content is none of them (the run, when it lies among the pictures).

    Raises:
        UserError: nothing is there, a folder cannot be read, or there is no picture.
    """
    if not os.path.exists(root):
        raise UserError(f"{as_typed(root)} is not there: name a folder of pictures, or a picture")
    if not os.path.isdir(root):
        return [root.name]
    names = sorted(_walk(root, os.path.realpath(leave_out)))  # of a link to itself too, where Path.resolve raises
    if not names:
        raise UserError(f"no picture in {as_typed(root)}: dsfactory looks for names in {', '.join(EXTENSIONS)}")
    return names


def as_typed(path: Path) -> str:
    """A path without the folder in which the command was given, for messages: settings keep the whole path."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _walk(root: Path, leave_out: str) -> Iterator[str]:
    def closed(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    for top, folders, files in os.walk(root, onerror=closed):
        places = {name: os.path.realpath(os.path.join(top, name)) for name in folders}
        folders[:] = [name for name in folders if name[0] != "." and places[name] != leave_out]
        for name in files:
            if name[0] != "." and name.lower().endswith(EXTENSIONS):
                yield PurePosixPath(top, name).relative_to(PurePosixPath(root)).as_posix()


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as a viewer shows it: turned as its EXIF says, transparency on white, 16 bits cut to 8.

    Returns:
        uint8 array of shape ``(height, width, 3)``, sRGB; colour profiles are not applied.

    Raises:
        ValueError: why it cannot be one, in a few words that equal faults share.
    """
    try:
        _check_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and about sizes that are looked at here
            with Image.open(path, formats=_FORMATS) as image:
                _check_picture(image)
                image.load()
                return np.asarray(_as_rgb(ImageOps.exif_transpose(image)), dtype=np.uint8)
    except _Unfit as error:
        raise ValueError(str(error)) from error
    except UnidentifiedImageError as error:
        raise ValueError("not a picture, or of a kind that is not read here") from error
    except Image.DecompressionBombError as error:
        raise ValueError(_TOO_LARGE) from error
    except OSError as error:
        # Pillow's own complaints about the content have no errno.
        raise ValueError(os.strerror(error.errno) if error.errno else "cut off or damaged") from error
    except Exception as error:  # Pillow lets SyntaxError, struct.error, KeyError and more through for hostile bytes
        raise ValueError("cut off or damaged") from error


class _Unfit(Exception):
    """The picture is readable but cannot be used."""


_TOO_LARGE = f"more than {MAX_PIXELS // 10**6} million pixels"


def _check_file(path: Path) -> None:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise _Unfit("not a plain file")
    if found.st_size == 0:
        raise _Unfit("an empty file")


def _check_picture(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _Unfit(_TOO_LARGE)
    if min(image.size) < MIN_SIDE:
        raise _Unfit(f"less than {MIN_SIDE} pixels wide or high")
    # Phones store a preview as a second picture (MPO, a kind of JPEG), which makes no film.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise _Unfit("several frames or pages: save the one to label as a picture of its own")


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise _Unfit("32 bits a pixel: convert it to 8 or 16 bits")
    if image.has_transparency_data:
        drawn = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    return image.convert("RGB")
