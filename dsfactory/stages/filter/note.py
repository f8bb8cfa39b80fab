"""What of a cross-validation is in ``filter/``, and whether it is whole.

``crossval.json`` is written last, after the networks and the scores, and is the done-mark of them all.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.scores import digest, file_digest
from dsfactory.storage.atomic import write_atomic

NOTE = "crossval.json"
SCORES = "scores.parquet"


@dataclass(frozen=True)
class Judged:
    """What the filter's shards depend on beside the rules.

    Attributes:
        samples: how many were judged.
        judged: digest of the shards that held them.
        scores: digest of the scores and the networks.
    """

    samples: int
    judged: str
    scores: str


@dataclass(frozen=True)
class Note:
    """What ``crossval.json`` says.

    Attributes:
        training: of the plan.
        clip: the CLIP checkpoint that scored; None without.
        samples: how many were judged.
        shards: digest of the shards that held them.
        files: digest of each file by name.
    """

    training: str
    clip: str | None
    samples: int
    shards: str
    files: dict[str, str]

    @property
    def judged(self) -> Judged:
        """What the filter's shards depend on."""
        return Judged(self.samples, self.shards, digest(self.files))


def read_note(folder: Path) -> Note | None:
    """The done-mark of a cross-validation; None when there is none, or a file is not what it says."""
    try:
        note = Note(**json.loads((folder / NOTE).read_bytes()))
        sound = all(file_digest(folder / Path(name).name) == value for name, value in note.files.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return note if sound else None


def matching_note(plan: Plan, folder: Path) -> Note | None:
    """The done-mark of the plan's cross-validation; None when it is to be made."""
    note = read_note(folder)
    return note if note is not None and (note.training, note.clip) == (plan.training, plan.config.clip) else None


def write_note(plan: Plan, folder: Path, names: list[str]) -> Note:
    """Write the done-mark over files that are there."""
    files = {name: file_digest(folder / name) for name in names}
    note = Note(plan.training, plan.config.clip, len(plan.samples), plan.judged, files)
    write_atomic(folder / NOTE, json.dumps(asdict(note), indent=1, sort_keys=True).encode())
    return note


def discard_note(folder: Path) -> None:
    """Remove the done-mark, and before it the files that are not what it says."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        for name, value in Note(**json.loads((folder / NOTE).read_bytes())).files.items():
            path = folder / Path(name).name
            if file_digest(path) != value:
                path.unlink(missing_ok=True)
    (folder / NOTE).unlink(missing_ok=True)
