"""Plain index masks, as the export format ``png`` has them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.errors import UserError
from dsfactory.formats.reading.images import decode
from dsfactory.formats.reading.labels import Expected, FixedLabels, Unread
from dsfactory.formats.reading.source import Source

_BINARY = "holds only 0 and 255, and 255 is ignore here: a binary mask? Then say which class it shows: --binary CLASS"


def read_png(source: Source, expected: Expected) -> Iterator[FixedLabels | Unread]:
    """The masks in ``ann_dir``, or all PNGs where there is no such folder; the parts of a class are its objects.

    With ``expected.binary``, masks have two values: 0, and one that means this class.

    Raises:
        UserError: there are no masks.
    """
    names = source.find("ann_dir/**/*.png") or source.find("*.png")
    if not names:
        raise UserError(f"{source.path} has no PNG")
    images = source.below("img_dir")
    for name in names:
        image = images.of(name)
        try:
            picture = decode(source.read(name))
            if expected.binary:
                mask = binary_mask(picture, expected.binary)
                yield FixedLabels(name, mask, None, False, image, only=expected.binary)
                continue
            mask = index_mask(picture, len(expected.classes))
        except ValueError as error:
            yield Unread(name, str(error))
            continue
        doubt = _BINARY if VOID in mask and not np.any((mask != BACKGROUND) & (mask != VOID)) else ""
        yield FixedLabels(name, mask, None, True, image, doubt)


def index_mask(image: Image.Image, classes: int) -> NDArray[np.uint8]:
    """uint8 ``(height, width)`` of the ids 0 to ``classes``, and 255.

    Raises:
        ValueError: the image holds something else.
    """
    if image.mode not in ("L", "P", "1"):
        raise ValueError(f"holds colours ({image.mode}): index masks are needed, grey or with a palette")
    mask = np.array(image.convert("L") if image.mode == "1" else image, dtype=np.uint8)
    if np.any((mask > classes) & (mask != VOID)):
        raise ValueError(f"has ids beyond the run's {classes} classes (and 255 for void)")
    return mask


def binary_mask(image: Image.Image, label: int) -> NDArray[np.uint8]:
    """uint8 ``(height, width)``: ``label`` where the image is not 0.

    Raises:
        ValueError: it has more than one value beside 0.
    """
    pixels = np.array(image if image.mode in ("L", "P") else image.convert("L"), dtype=np.uint8)
    shown = np.unique(pixels[pixels != BACKGROUND])
    if len(shown) > 1:
        raise ValueError(f"is no binary mask: it has {len(shown)} values beside 0")
    return np.where(pixels != BACKGROUND, label, BACKGROUND).astype(np.uint8)
