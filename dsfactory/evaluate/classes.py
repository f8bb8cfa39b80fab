"""Match the classes of a run with the labels of a real set, by name."""

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.errors import UserError
from dsfactory.formats.reading.labelled import plain_name
from dsfactory.formats.voc.layout import VOID_NAMES


def match_classes(classes: Sequence[ClassSpec], names: Sequence[str], where: str) -> NDArray[np.uint8]:
    """The table from a real set's label ids to a run's.

    Names are compared without case, spaces and hyphens, so "dining table" is "diningtable"; a class that the set does
    not have by its name is looked for by its synonyms. Labels of the set that the run has no class for become
    background: to a network that knows cats alone, a dog is background.

    Args:
        classes: the run's; the first has id 1.
        names: the set's, in the order of their ids, beginning with background.
        where: how to name the set in an error.

    Returns:
        uint8 ``(256,)``; 0 stays background, 255 and labels named void become 255.

    Raises:
        UserError: a class is not in the set, or two are the same one there.
    """
    ids = {plain_name(name): number for number, name in reversed(list(enumerate(names))) if number != BACKGROUND}
    table = np.zeros(256, np.uint8)
    for number, name in enumerate(names):
        if name.lower() in VOID_NAMES:
            table[number] = VOID
    table[VOID] = VOID
    taken: dict[int, str] = {}
    for position, spec in enumerate(classes, start=1):
        place = next((ids[plain_name(word)] for word in (spec.name, *spec.synonyms) if plain_name(word) in ids), None)
        if place is None:
            raise UserError(_missing(spec.name, [name for name in names[1:] if name.lower() not in VOID_NAMES], where))
        if place in taken:
            raise UserError(f"the classes {taken[place]!r} and {spec.name!r} are both {names[place]!r} in {where}")
        taken[place] = spec.name
        table[place] = position
    return table


def _missing(name: str, names: list[str], where: str) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    known = f"is it {near[0]!r} there? " if near else ""
    shown = ", ".join(names[:30]) + (" …" if len(names) > 30 else "")
    return (
        f"{where} has no class {name!r}: {known}it has {shown}. Rename it in labelmap.txt, "
        "or evaluate a run with the classes of the set"
    )
