"""What travels between stages: one record per sample."""

from dataclasses import dataclass, field
from typing import Any

BACKGROUND = 0
VOID = 255
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


def sample_place(number: int, classes: int) -> tuple[int, int]:
    """``(class position, index within the class)`` of a sample number.

    Classes are interleaved, so a larger target adds numbers at the end and moves none.
    """
    return number % classes, number // classes
