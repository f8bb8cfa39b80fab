"""What of a cross-validation is in ``filter/``, and whether it is whole.

``crossval.json`` is written last, after the networks and the scores, and is the done-mark of them all.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dsfactory.stages.filter.files import NOTE
from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.scores import digest, file_digest
from dsfactory.storage.atomic import write_atomic


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
        witness: who was heard beside.
        samples: how many were judged.
        shards: digest of the shards that held them.
        files: digest of each file by name.
    """

    training: str
    clip: str | None
    samples: int
    shards: str
    files: dict[str, str]
    witness: list[str] = field(default_factory=list)

    @property
    def judged(self) -> Judged:
        """What the filter's shards depend on."""
        return Judged(self.samples, self.shards, digest(self.files))


def read_note(folder: Path) -> Note | None:
    """The done-mark of a cross-validation; None when there is none, or a file is not what it says."""
    note = _written(folder)
    return note if note is not None and not _damaged(note, folder) else None


def _written(folder: Path) -> Note | None:
    """What ``crossval.json`` says; None when it says nothing."""
    try:
        note = Note(**json.loads((folder / NOTE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return note if isinstance(note.files, dict) else None


def _damaged(note: Note, folder: Path) -> set[str]:
    """Names of files that are not what a done-mark says."""
    names = {Path(name).name: value for name, value in note.files.items()}
    return {name for name, value in names.items() if _digest(folder / name) != value}


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None


def damaged_files(plan: Plan, folder: Path) -> set[str]:
    """Names of files of the plan's training that are not what its done-mark says."""
    note = _written(folder)
    return _damaged(note, folder) if note is not None and note.training == plan.training else set()


def matching_note(plan: Plan, folder: Path) -> Note | None:
    """The done-mark of the plan's cross-validation; None when it is to be made."""
    note = read_note(folder)
    wanted = plan.training, plan.config.clip, list(plan.config.witness)
    return note if note is not None and (note.training, note.clip, note.witness) == wanted else None


def write_note(plan: Plan, folder: Path, names: list[str]) -> Note:
    """Write the done-mark over files that are there."""
    files = {name: file_digest(folder / name) for name in names}
    note = Note(plan.training, plan.config.clip, len(plan.samples), plan.judged, files, list(plan.config.witness))
    write_atomic(folder / NOTE, json.dumps(asdict(note), indent=1, sort_keys=True).encode())
    return note


def discard_note(folder: Path, keep: Collection[str]) -> None:
    """Remove the done-mark, and before it the files that are not what it says.

    Args:
        folder: the filter's.
        keep: names of files that were made for the next done-mark.
    """
    note = _written(folder)
    for name in _damaged(note, folder) - {*keep} if note is not None else ():
        (folder / name).unlink(missing_ok=True)
    (folder / NOTE).unlink(missing_ok=True)
