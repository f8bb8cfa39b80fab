"""Plain index masks, as the export format ``png`` has them."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np

from dsfactory.core.sample import VOID
from dsfactory.errors import UserError
from dsfactory.formats.reading.images import decode
from dsfactory.formats.reading.labels import FixedLabels
from dsfactory.formats.reading.source import Source


def read_png(source: Source, classes: Sequence[str]) -> Iterator[FixedLabels]:
    """The masks in ``ann_dir``, or all PNGs where there is no such folder; the parts of a class are its objects.

    Raises:
        UserError: there are no masks, or one holds colours or ids that the run does not have.
    """
    names = source.find("ann_dir/*.png", "ann_dir/*/*.png") or source.find("*.png")
    if not names:
        raise UserError(f"{source.path} has no PNG")
    images = source.by_key("img_dir/*", "img_dir/*/*")
    for name in names:
        key = PurePosixPath(name).stem
        image = decode(source.read(name), name)
        if image.mode not in ("L", "P"):
            raise UserError(f"{name} holds colours ({image.mode}): index masks are needed, grey or with a palette")
        mask = np.array(image, dtype=np.uint8)
        if np.any((mask > len(classes)) & (mask != VOID)):
            raise UserError(f"{name} has ids beyond the run's {len(classes)} classes (and 255 for void)")
        yield FixedLabels(key, mask, None, True, source.read_if(images.get(key)))
