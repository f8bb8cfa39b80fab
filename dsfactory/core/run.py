"""A run: one directory with a manifest, the resolved config and a folder per stage."""

import contextlib
import fnmatch
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from dsfactory.core.classes import ClassSpec, check_classes
from dsfactory.core.numbering import Block, Numbering
from dsfactory.core.sample import SampleId, sample_key
from dsfactory.core.section import Section, parse_section
from dsfactory.core.shard import ShardReader, ShardSpec, read_mark
from dsfactory.errors import DamagedShard, UserError
from dsfactory.storage.atomic import is_leftover, make_folder, remove_leftovers, write_atomic
from dsfactory.storage.lock import exclusive_lock
from dsfactory.storage.names import MANIFEST, SHARD_NAME

if TYPE_CHECKING:
    from dsfactory.core.stage import Stage

STATE = "stage.json"
"""In a stage's folder: what it was made with."""
CONFIG = "config.yaml"
LOCK = ".lock"

MAX_JSON = 256_000_000
"""Largest manifest in bytes that is read: enough for five million shards."""
MAX_SHARD = 10_000
"""Most samples in a shard: its rows are in memory at once."""


class Manifest(Section):
    """What a run is. Holds no time and no path, so equal runs have equal manifests."""

    format: int = Field(1, description="Version of the layout on disk.")
    classes: tuple[ClassSpec, ...] = Field(description="Classes in label order: the first has id 1.")
    seed: int = Field(description="Seed from which every sample's seed is derived.")
    shards: tuple[tuple[int, int], ...] = Field((), description="Sample numbers [start, stop) of each shard.")
    blocks: tuple[Block, ...] = Field((), description="Numbers that one class has for itself: [start, stop), class.")

    _check_classes = field_validator("classes")(check_classes)

    @field_validator("shards")
    @classmethod
    def _check_shards(cls, shards: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        expected = 0
        for start, stop in shards:
            if start != expected or not start < stop <= start + MAX_SHARD:
                raise ValueError(f"a shard from {start} to {stop} cannot follow one that ends at {expected}")
            expected = stop
        return shards

    @model_validator(mode="after")
    def _check_blocks(self) -> Self:
        expected = self.blocks[0][0] if self.blocks else 0
        for start, stop, position in self.blocks:
            if start != expected or not start < stop or not 0 <= position < len(self.classes):
                raise ValueError(f"a block from {start} to {stop} cannot follow one that ends at {expected}")
            expected = stop
        if self.blocks and (expected != self.total or self.blocks[0][0] < 0):
            raise ValueError(f"the blocks end at {expected}, the shards at {self.total}")
        return self

    @model_serializer(mode="wrap")
    def _without_blocks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Blocks are written where there are any: most runs have none."""
        return {name: value for name, value in handler(self).items() if name != "blocks" or value}

    @property
    def total(self) -> int:
        """Number of samples that the run is to have."""
        return self.shards[-1][1] if self.shards else 0

    @property
    def numbering(self) -> Numbering:
        """Which number is which sample."""
        return Numbering(tuple(item.name for item in self.classes), self.total, self.blocks)


class StageState(BaseModel):
    """What a stage's folder was made with: ``stage.json`` beside its shards."""

    stage: str
    version: int
    fingerprint: str
    upstream: str
    identity: dict[str, Any]


class Run:
    """A run directory, opened or created.

    Attributes:
        path: the directory.
        manifest: its content; changed only by :meth:`grow`.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    @contextlib.contextmanager
    def claim(cls, path: Path, classes: tuple[ClassSpec, ...], seed: int) -> Iterator[Self]:
        """Make a run directory, or open the one that is there, and hold its lock for the block.

        Raises:
            UserError: the directory holds something else, or a run of other classes or another seed.
            RunLocked: another process works on the run.
        """
        cls.open_matching(path, classes, seed)
        try:
            make_folder(path)
        except OSError as error:
            raise UserError(f"{path} cannot be made: {error.strerror}") from error
        with exclusive_lock(path / LOCK):
            run = cls.open_matching(path, classes, seed)
            if run is None:
                remove_leftovers(path)
                run = cls(path, Manifest(classes=classes, seed=seed))
                run._write_manifest()
            yield run

    @classmethod
    def open_matching(cls, path: Path, classes: tuple[ClassSpec, ...], seed: int) -> Self | None:
        """The run at ``path`` if it holds these classes and this seed; None where a new one may be made."""
        if is_run(path):
            run = cls.open(path)
            wanted, found = [item.name for item in classes], [item.name for item in run.manifest.classes]
            if wanted != found:
                raise UserError(
                    f"{path} holds the classes {', '.join(found)}: choose another --out for {', '.join(wanted)}"
                )
            if run.manifest.classes != classes:
                raise UserError(f"{path} was begun with other synonyms: choose another --out")
            if run.manifest.seed != seed:
                raise UserError(f"{path} has the seed {run.manifest.seed}: choose another --out for seed {seed}")
            return run
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file: name a folder with --out")
        if path.exists() and any(entry.name != LOCK and not is_leftover(entry) for entry in path.iterdir()):
            raise UserError(f"{path} is not empty and not a dsfactory run: name a new or empty folder with --out")
        return None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing run.

        Raises:
            UserError: the directory is not a run, or one of a newer format.
        """
        if not is_run(path):
            what = "is not a dsfactory run (it has no run.json)" if os.path.isdir(path) else "is not there"
            raise UserError(f"{path} {what}: make one with 'dsfactory generate --classes dog,bird --out {path}'")
        content = read_json(path / MANIFEST, "restore it, or begin a new run")
        if isinstance(content, dict) and content.get("format") != 1:
            raise UserError(f"{path} has the layout {content.get('format')!r}, this dsfactory reads 1: upgrade it")
        return cls(path, parse_section(Manifest, content, str(path / MANIFEST)))

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """The run's exclusive lock; see :func:`dsfactory.storage.lock.exclusive_lock`."""
        return exclusive_lock(self.path / LOCK)

    def shards(self) -> list[ShardSpec]:
        return [ShardSpec(index, start, stop) for index, (start, stop) in enumerate(self.manifest.shards)]

    @property
    def total(self) -> int:
        """Number of samples that the run is to have."""
        return self.manifest.total

    def key(self, number: int) -> str:
        """The name of a sample, unique in the run."""
        return sample_key(number)

    def reopened(self) -> Self:
        """The run as it is on the disk now."""
        return self.open(self.path)

    def samples(self, spec: ShardSpec) -> Iterator[SampleId]:
        """The samples of a shard, in order."""
        return self.manifest.numbering.samples(spec.start, spec.stop, self.manifest.seed)

    def extend(self, wanted: Mapping[str, int], shard_size: int) -> None:
        """Add shards until the run is to have this many samples; shards that exist keep their bounds.

        Args:
            wanted: by class; or of all together, by ``""``.
            shard_size: of new shards.
        """
        if "" in wanted:
            self.grow(wanted[""], shard_size)
        else:
            self._grow(self.manifest.numbering.grown(wanted), shard_size)

    def planned(self, wanted: Mapping[str, int], redo: bool) -> int:
        """How many samples there will be once :meth:`extend` has been called; ``redo`` deletes none of them."""
        return max(self.total, wanted[""]) if "" in wanted else self.manifest.numbering.grown(wanted).total

    def grow(self, total: int, shard_size: int) -> None:
        """Add shards until the run has ``total`` samples, classes taking turns; shards that exist keep their bounds."""
        self._grow(Numbering(self.manifest.numbering.classes, max(total, self.total)), shard_size)

    def _grow(self, numbering: Numbering, shard_size: int) -> None:
        bounds = list(self.manifest.shards)
        while (start := bounds[-1][1] if bounds else 0) < numbering.total:
            bounds.append((start, min(start + shard_size, numbering.total)))
        if len(bounds) > len(self.manifest.shards):
            update = {"shards": tuple(bounds), "blocks": numbering.blocks}
            self.manifest = self.manifest.model_copy(update=update)
            self._write_manifest()

    def _write_manifest(self) -> None:
        text = json.dumps(self.manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
        write_atomic(self.path / MANIFEST, text.encode())

    def stage_folder(self, stage: str) -> Path:
        return self.path / stage

    def stage_state(self, stage: str) -> StageState | None:
        """What the stage's folder was made with, or None when the stage has not begun."""
        path = self.stage_folder(stage) / STATE
        if not path.exists():
            return None
        return parse_section(StageState, read_json(path, "delete it, and run the stage again"), str(path))

    def begin_stage(self, state: StageState) -> None:
        """Make the stage's folder and write its ``stage.json``; clear what a killed process left there."""
        folder = self.make_stage_folder(state.stage)
        path = folder / STATE
        data = json.dumps(state.model_dump(mode="json"), indent=1, sort_keys=True).encode()
        if not path.exists() or path.read_bytes() != data:
            write_atomic(path, data)

    def make_stage_folder(self, stage: str) -> Path:
        """A stage's folder for writing; clears what a killed process left there."""
        folder = self._own_folder(stage)
        make_folder(folder)
        remove_leftovers(folder)
        return folder

    def discard(self, kind: "type[Stage]") -> None:
        """Delete a stage's shards, state and artifacts: only files that dsfactory wrote, done-marks first."""
        folder = self._own_folder(kind.folder)
        if not folder.is_dir():
            return
        remove_leftovers(folder)
        names = os.listdir(folder)
        artifacts = [fnmatch.translate(pattern) for pattern in kind.artifacts]
        for pattern in (r"stage\.json", rf"{SHARD_NAME}\.parquet", rf"{SHARD_NAME}\.tar", *artifacts):
            for name in names:
                if re.fullmatch(pattern, name):
                    (folder / name).unlink(missing_ok=True)

    def _own_folder(self, stage: str) -> Path:
        """A stage's folder for writing.

        Raises:
            UserError: it is a file, or a link, which in a run made by someone else could lead anywhere.
        """
        folder = self.stage_folder(stage)
        if folder.is_symlink():
            raise UserError(f"{folder} is a link: a run is written within its own folder only; link the run instead")
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file where the stage's folder belongs: move it away")
        return folder

    def is_done(self, stage: str, spec: ShardSpec, fingerprint: str) -> bool:
        """Whether a shard is finished with this fingerprint.

        Raises:
            DamagedShard: its files are there and wrong.
        """
        mark = read_mark(self.stage_folder(stage), spec)
        return mark is not None and mark.fingerprint == fingerprint

    def may_be_read(self, stage: str, spec: ShardSpec, fingerprint: str) -> bool:
        """As :meth:`is_done`, but true for a damaged shard: reading it says what is wrong."""
        try:
            return self.is_done(stage, spec, fingerprint)
        except DamagedShard:
            return True

    def reader(self, stage: str, spec: ShardSpec) -> ShardReader:
        return ShardReader(self.stage_folder(stage), spec, [item.name for item in self.manifest.classes], self.key)

    def has_finished(self, stage: str) -> bool:
        """Whether a stage has finished a shard."""
        folder = self.stage_folder(stage)
        return folder.is_dir() and any((folder / spec.table).exists() for spec in self.shards())

    def finished(self, stage: str) -> list[ShardSpec]:
        """Shards of a stage whose row table is there: what a reader may see while others are written."""
        folder = self.stage_folder(stage)
        return [spec for spec in self.shards() if (folder / spec.table).exists()]


def is_run(path: Path) -> bool:
    return os.path.isfile(path / MANIFEST)  # False for a name too long to be there, where Path.is_file raises


def read_json(path: Path, advice: str) -> Any:
    """A JSON file that dsfactory wrote into a run.

    Raises:
        UserError: it cannot be read; says what and gives the advice.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_JSON:
            raise ValueError("no file of a size that dsfactory writes")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {advice}") from error


def newest_run(root: Path) -> Path:
    """The run under ``root`` that was worked on last.

    Raises:
        UserError: there is none.
    """
    runs = [path for path in root.iterdir() if is_run(path)] if root.is_dir() else []
    if not runs:
        raise UserError(f"no run under ./{root}: name one, or make one with 'dsfactory generate --classes dog,bird'")
    return max(runs, key=lambda path: (max(file.stat().st_mtime_ns for file in _marks(path)), path.name))


def _marks(path: Path) -> list[Path]:
    return [path / MANIFEST, *path.glob("*/stage.json")]
