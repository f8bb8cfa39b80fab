"""What an examination found."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        place: the file, and the sample in it, relative to what was examined.
        text: what is wrong.
        stage: the stage that has to make something again; empty when none can.
        shard: the number of the shard in question; None for the stage as a whole.
    """

    place: str
    text: str
    stage: str = ""
    shard: int | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass
class Findings:
    """The result of an examination.

    Attributes:
        path: what was examined.
        kind: ``"run"``, or the export's format.
        checked: how many of what were read, such as ``{"refine shards": 12}``.
        faults: all that is wrong, in the order of the pipeline.
        notes: what is worth knowing and no fault, such as shards that are not finished yet.
        repaired: shards that were made again, as ``stage/number``.
        advice: what to do about the faults.
    """

    path: Path
    kind: str
    checked: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def exit_code(self) -> int:
        """0, or 3 when there is a fault."""
        return 3 if self.faults else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "kind": self.kind,
            "exit_code": self.exit_code,
            "checked": dict(self.checked),
            "faults": [{**fault.__dict__} for fault in self.faults],
            "notes": self.notes,
            "repaired": self.repaired,
            "advice": self.advice,
        }
