"""Layouts as pictures: the colours by which a ControlNet knows classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec, slug
from dsfactory.core.reading import read_text
from dsfactory.errors import UserError
from dsfactory.formats.voc.layout import LABELMAP, parse_labelmap
from dsfactory.stages.generate.layouts.layout import Placed

ADE20K = Path(__file__).with_name("ade20k.txt")

Colours = NDArray[np.uint8]
"""uint8 ``(256, 3)``: RGB of each class id."""


def find_colours(classes: Sequence[ClassSpec], controlnet: Path, palette: str | None) -> Colours:
    """The colours of a run's classes.

    Args:
        classes: the run's.
        controlnet: its folder, which may hold a ``labelmap.txt``: a line ``name:red,green,blue::`` per class.
        palette: such a file that counts instead, or ``"ade20k"``: the colours of ADE20K's 150 classes.

    Raises:
        UserError: there is no such file, or it lacks a class.
    """
    path = ADE20K if palette == "ade20k" else Path(palette) if palette else controlnet / LABELMAP
    if not path.is_file():
        raise UserError(
            f"{path} is not there: the ControlNet was trained with a colour per class, write them into a file, a line "
            "'dog:192,0,0::' each, and name it with --set generate.layout.palette=FILE, or ade20k for those of ADE20K"
        )
    known = {slug(name): colour for name, colour in parse_labelmap(read_text(path, "label map"), str(path))}
    found = np.zeros((256, 3), np.uint8)
    found[0] = found[255] = known.get("background", (0, 0, 0))
    for number, spec in enumerate(classes, start=1):
        names = [slug(word) for word in (spec.name, *spec.synonyms)]
        colour = next((known[name] for name in names if name in known), None)
        if colour is None:
            raise UserError(
                f"{path} has no colour for {spec.name!r}: add a line '{spec.name}:red,green,blue::', or give the class "
                "a word that it has as a synonym (--classes-file)"
            )
        found[number] = colour
    return found


def painted(layout: Placed, colours: Colours) -> NDArray[np.uint8]:
    """A layout in colours, uint8 RGB ``(height, width, 3)``."""
    picture: NDArray[np.uint8] = colours[layout.mask]
    return picture
