"""What travels between stages: one record per sample."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dsfactory.core.seeds import derive_seed

BACKGROUND = 0
VOID = 255
IMAGE, EVIDENCE, MASK, INSTANCES = "image.png", "evidence.safetensors", "mask.png", "instances.png"
"""Files of a sample by role: IMAGE, ATTENTION, and the two of LABEL."""
MASKS = frozenset({MASK, INSTANCES})
LAYOUT, OBJECTS = "layout.png", "layout-objects.png"
"""Of a sample that is drawn to a layout: its class ids and its object ids, as MASK and INSTANCES have them."""
LAYOUTS = frozenset({LAYOUT, OBJECTS})

SHOWS_NONE = "shows none of"
"""How the reason of a given picture begins in which none of the run's classes is seen."""
VOID_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled"})
"""What labelled sets call the label of pixels that count for nobody."""

RESERVED = frozenset({"background", *VOID_NAMES})
"""Names that no class of a new run can have: every mask has these labels anyway."""

Media = Literal["", "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeCapture"]
"""IPTC digital source type of an image (http://cv.iptc.org/newscodes/digitalsourcetype): a model drew it; a model drew
a part of it, or it is composed of such images; it is composed of given pictures. Empty for a picture that nobody has
changed."""

MAX_CLASSES = 254
"""Masks are 8-bit: 0 is background, 255 void, class ids 1 to 254 lie between."""


@dataclass(frozen=True)
class Record:
    """A sample as a stage hands it on.

    Attributes:
        key: the sample's name, unique in the run and safe in a path.
        row: its columns, matching the stage's Arrow schema.
        files: extension (``"image.png"``) to bytes; the tar member is ``{key}.{extension}``.
    """

    key: str
    row: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


def sample_key(number: int) -> str:
    """Key of the sample with this number: eight digits, so that text order is numeric order."""
    return f"{number:08d}"


@dataclass(frozen=True)
class SampleId:
    """What a sample is in its space, before anything is made of it.

    Attributes:
        key: its name, unique in the run.
        number: unique in the run, too.
        cell: the part of the space that it belongs to.
        index: its place in the cell, from 0.
        seed: see :func:`sample_seed`.
    """

    key: str
    number: int
    cell: str
    index: int
    seed: int


def sample_seed(run_seed: int, space: str, cell: str, index: int, attempt: int = 0) -> int:
    """The seed of a sample, 63 bits: a hash of the run's seed and of what the sample is.

    Args:
        run_seed: of the run.
        space: name of the stage that numbers it; empty for the run's own space.
        cell: its class, or another part of the space.
        index: its place in the cell.
        attempt: 0 at first; each further try has the next number.
    """
    parts: list[str | int] = [*([space] if space else []), cell, index, *([attempt] if attempt else [])]
    return derive_seed(run_seed, *parts)


_KINDS: dict[str, type] = {
    "number": int, "index": int, "seed": int, "image_seed": int, "width": int, "height": int, "class_name": str,
    "prompt": str, "source": str, "model": str, "status": str, "reason": str,
}  # fmt: skip
_MAY_LACK = {"image_seed", "prompt"}
"""Columns that are null for an image that no model made."""
_PER_CLASS = ("threshold", "agreement", "claim", "peak", "area")
"""Columns of several stages; the latter hold a number per class in a sample that is fine."""


def row_fault(row: Mapping[str, Any], classes: Collection[str] | None) -> str:
    """What is wrong with the columns that stages hand on to each other; empty when nothing is.

    A checksum tells nothing about a row that somebody made on purpose.

    Args:
        row: a sample's columns; those that it does not have are not missed here.
        classes: names that the column ``classes`` may hold; None for any.
    """
    for name, kind in _KINDS.items():
        if name in row and type(row[name]) is not kind and not (name in _MAY_LACK and row[name] is None):
            return f"the column {name} holds {str(row[name])[:40]!r}, which is no {kind.__name__}"
    if "classes" not in row:
        return ""
    named = row["classes"]
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return f"the column classes holds {str(named)[:40]!r}, which is no list of names"
    if classes is not None and (unknown := [name for name in named if name not in classes]):
        return f"it names the class {unknown[0][:60]!r}, which the run does not have"
    if row.get("status", "ok") == "ok":
        if not named:
            return "it is fine and shows no class"
        for name in _PER_CLASS:
            values = row.get(name)
            if values is None and (name not in row or name != "area"):
                continue  # nobody has measured it
            if not isinstance(values, list) or len(values) != len(named):
                return f"the column {name} does not hold a value per class"
        if not all(isinstance(value, float) and math.isfinite(value) for value in row.get("area", ())):
            return "the column area does not hold a number per class"
    return ""
