"""The stage contract: what a stage declares, and from which everything else follows.

A stage is a pure function from shards to a shard. It declares facts (what it reads and writes, its settings, its files
per status); command, flags, dry run, workers, resume, status, verify and report are made from them.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import pyarrow as pa

from dsfactory.core.config import RunSettings
from dsfactory.core.sample import Media, Record
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec

if TYPE_CHECKING:
    from dsfactory.core.chain import Input
    from dsfactory.core.classes import ClassSpec
    from dsfactory.core.run import Run, StageState


StageT = TypeVar("StageT", bound="Stage")

MAX_LABELS = 12
"""Lines that :meth:`Stage.describe_rows` gives by default: a run made by someone else may have a reason per sample."""


class Role(StrEnum):
    """What stages hand to each other. The last stage of a run that writes a role serves those that read it."""

    PROMPT = "prompt"
    IMAGE = "image"
    ATTENTION = "attention"
    LABEL = "label"
    SCORE = "score"


class Kind(StrEnum):
    """What a stage does with samples."""

    SOURCE = "source"
    """Makes samples."""
    LABELER = "labeler"
    """Gives each sample a label."""
    JUDGE = "judge"
    """Scores samples and decides which are kept."""
    COMPOSER = "composer"
    """Makes new samples of kept ones, in a sample space of its own."""


class Scope(StrEnum):
    """How much of its input a stage waits for."""

    SHARD = "shard"
    """A shard of the input is enough: the stage may work beside the one before."""
    RUN = "run"
    """The input has to be finished."""


@dataclass(frozen=True)
class Output:
    """What a stage writes.

    Attributes:
        roles: what other stages may read.
        schema: all columns of its row table: those that it hands on, then its own.
        files: by status, the extensions of a sample's files. A status that is not named has none.
        bytes_per_pixel: size on disk, a rule of thumb until the run has measured it.
        bytes_per_sample: what comes on top, whatever the image's size.
        own: columns that it fills itself though what it reads has them too; all others are handed on as they are.
        added: columns that came later, or that only some runs have: shards whose rows have none of them lack them.
        extra: files that a sample may have beside those of its status.
    """

    roles: tuple[Role, ...]
    schema: pa.Schema
    files: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bytes_per_pixel: float = 0.0
    bytes_per_sample: float = 300.0
    own: frozenset[str] = frozenset({"status", "reason"})
    added: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()


class Reporter(Protocol):
    """Who is told how far work is that a stage does once per run."""

    def __call__(self, name: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of the named work are through. May raise a signal's :class:`StopSignal`."""


class Machines(Protocol):
    """What a stage may ask about where it will be made."""

    def auto_dtype(self, device: str) -> str:
        """The number format that ``auto`` stands for there."""

    def text_device(self, device: str) -> str:
        """Where this process encodes captions, given the device that makes the images.

        Raises:
            UserError: nobody there can work on that device.
        """


@dataclass(frozen=True)
class Download:
    """What has to be fetched before a stage can be made.

    Attributes:
        name: of the model.
        megabytes: its size; None when it is not known.
    """

    name: str
    megabytes: int | None


@dataclass(frozen=True)
class Conclusion:
    """What a stage says at its end.

    Attributes:
        lines: for a person, printed with the summary.
        facts: the same as JSON values.
        notes: what a person should look at.
        kept: what a dry run has made and kept for the work itself; usually nothing.
    """

    lines: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kept: str = ""


class Stage(ABC):
    """One step of the pipeline.

    A stage object is cheap: what is heavy is loaded by :meth:`load`. It is sent to worker processes and to nodes, so
    it pickles as long as it is not loaded.
    """

    name: ClassVar[str]
    """Its command and its section of the settings."""
    version: ClassVar[int]
    """Raised whenever the algorithm changes its output, so that old and new shards never mix."""
    kind: ClassVar[Kind]
    Config: ClassVar[type[Section]]
    """Its settings. Fields that are marked for the command line become flags."""
    summary: ClassVar[str] = ""
    """What the section of its settings is about, in one sentence."""
    reads: ClassVar[tuple[Role, ...]] = ()
    writes: ClassVar[Output]
    own_space: ClassVar[bool] = False
    """It makes new samples, numbered in a space of their own."""
    first: ClassVar[int | None] = None
    """The first number of that space, where it was chosen by hand; None for one that follows from the name."""
    artifacts: ClassVar[tuple[str, ...]] = ()
    """Files beside its shards (patterns of :mod:`fnmatch`) that go when the stage is made again."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Files beside its shards that :meth:`identity` or :meth:`load` may read, on another machine too."""
    varying: ClassVar[tuple[str, ...]] = ()
    """Entries of :meth:`identity` that follow from what it reads, not from settings."""
    requires: ClassVar[Mapping[str, str]] = {}
    """Packages that it imports beyond those that come with dsfactory, and the extra that brings each."""
    inline: ClassVar[bool] = False
    """Its shards take milliseconds: the process of the command makes them, whoever makes those that follow."""
    taints: ClassVar[bool] = False
    """Its shards may change under one fingerprint: when they are made again, what was made of them goes too."""
    given: ClassVar[bool] = False
    """Its images are somebody's own: exports say so."""
    generates: ClassVar[bool] = True
    """A model makes its images, or parts of them. A composer that only arranges what is there says that it does not."""
    meanings: ClassVar[Mapping[str, str]] = {}
    """What its scores mean, a sentence by column: the report page says it."""
    then: ClassVar[tuple[str, ...]] = ()
    """What its command does afterwards: names of stages, or ``"export"``."""

    folder: ClassVar[str]
    """Its folder in a run: its name, except for a source that takes the place of another one."""

    inputs: "tuple[Input, ...]" = ()
    """The stages of the run that serve it, in the order of ``reads``, each once. The chain sets it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "folder" not in cls.__dict__ and "name" in cls.__dict__:
            cls.folder = cls.name

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        """The stage with the settings of a run, which need not be there yet.

        Raises:
            UserError: the settings name something that is not there.
        """
        return cls(settings, run)  # type: ignore[call-arg]

    @classmethod
    def made(cls, state: "StageState") -> bool:
        """Whether a folder with this ``stage.json`` is this stage's."""
        return state.stage == cls.folder

    @classmethod
    def missing(cls, settings: RunSettings) -> Download | None:
        """What :meth:`build` would fetch; None when everything is on this machine. Fetches nothing."""
        return None

    @classmethod
    def found_classes(cls, settings: RunSettings) -> "tuple[ClassSpec, ...]":
        """The classes of a new run whose command names none: those of what a source reads; none where it says nothing.

        Raises:
            UserError: what it reads cannot be used.
        """
        return ()

    @classmethod
    def media_of(cls, row: Mapping[str, Any]) -> Media:
        """What one of its images is, by its row. Asked of the stage that brings a run's images."""
        return "" if cls.given else "trainedAlgorithmicMedia"

    @classmethod
    def run_name(cls, settings: RunSettings) -> str:
        """The name of a run that begins with this stage, for those that do not say one."""
        names = [item.slug for item in settings.classes]
        return "-".join(names) if len(names) <= 3 else f"{'-'.join(names[:3])}-and-{len(names) - 3}-more"

    def settled(self, state: "StageState | None", machines: Machines) -> "Stage":
        """This stage with what depends on the machines settled. A run that goes on keeps what it was begun with.

        Args:
            state: what the stage was begun with; None for a new one.
            machines: where it will be made.
        """
        return self

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that decides the output's bytes, as JSON values, except for the stages it reads."""

    def scope(self, run: "Run | None", redo: bool) -> Scope:
        """Whether it waits for its whole input.

        Args:
            run: the run; None when it is not there yet.
            redo: what the stage has made is made again.
        """
        return Scope.SHARD

    @property
    def unit(self) -> str:
        """What a counter of its samples counts."""
        if Role.IMAGE in self.writes.roles:
            return "images"
        return "masks" if self.kind is Kind.LABELER else "samples"

    @property
    def device(self) -> str | None:
        """Where it computes: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; None for a stage that needs no GPU."""
        return None

    def on_device(self, device: str) -> "Stage":
        """This stage, not loaded, on another device; the stage itself when it needs no GPU."""
        return self

    def in_run(self, run: Path) -> "Stage":
        """This stage, not loaded, for the run in another folder; for those that are made on several machines.

        The stage itself when it knows of no folder.
        """
        return self

    def served_as(self, other: "StageT") -> "StageT":
        """Another one of this stage, told of the same inputs."""
        other.inputs = self.inputs
        return other

    def check(self, run: "Run | None", redo: bool) -> list[str]:
        """Refuse what cannot be made, before anything is written.

        Args:
            run: the run (or the stage's space of it) with what the stage reads; None when it is not there yet.
            redo: what the stage has made is made again.

        Returns:
            Lines that a person should read.

        Raises:
            UserError: it cannot be made; says what to do.
        """
        return []

    def outdated(self, run: "Run", state: "StageState") -> str:
        """Why what is there is made again without being asked, as a line for the user; empty when it is not."""
        return ""

    def wanted(self, run: "Run | None") -> dict[str, int]:
        """How many samples its space is to have, by cell; empty for a stage that makes no samples."""
        return {}

    def begin(self, run: "Run") -> None:  # noqa: B027 -- most stages have nothing to write
        """Write down what the numbers of :meth:`wanted` rest on. The caller holds the run's lock."""

    def make_artifacts(self, run: "Run", report: Reporter) -> None:  # noqa: B027 -- most stages have none
        """Make what is needed once per run, before the first shard. What is there already is not made again.

        Killed, it goes on with the next call, to the same bytes. The caller holds the run's lock.

        Raises:
            UserError: it cannot be made.
        """

    def parts(self, run: "Run") -> Sequence[str]:
        """Independent pieces of the artifacts that are not there yet, which several workers may make at once."""
        return ()

    def make_part(self, run: "Run", part: str, report: Reporter) -> None:  # noqa: B027 -- most stages have none
        """Make one of the pieces that :meth:`parts` named. Called in any process."""

    def conclude(self, run: "Run") -> Conclusion:
        """What a finished stage has to say, beyond counts of samples."""
        return Conclusion()

    def preview(self, run: "Run", report: Reporter) -> Conclusion:
        """What the stage would say, for a dry run: where only doing the work tells.

        Changes nothing that is there. Artifacts that it had to make may stay for the work itself, and are named.
        """
        return Conclusion()

    def load(self) -> None:  # noqa: B027 -- most stages have nothing heavy to load
        """Load what is heavy. Called once per process, before the first shard that is not done, or early."""

    @abstractmethod
    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        """Yield the shard's records in sample order; same input and identity, same bytes.

        Args:
            shard: which samples.
            inputs: the same shard of each stage that it reads, in the order of ``reads``, each once. None for a
                stage with a sample space of its own.
        """

    def files(self) -> Mapping[str, Path]:
        """The user's own files that its samples are made of, by sample key: exports bear their names and their bytes.

        Its rows then have the columns of :mod:`dsfactory.dataset.own_files`.
        """
        return {}

    @classmethod
    def lost(cls, folder: Path) -> str:
        """What beside the shards in its folder is gone or changed, so that no shard can be made again; usually empty.

        Returns:
            In words, such as "the networks of filter"; its command makes them again.
        """
        return ""

    @classmethod
    def describe_rows(cls, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """What the report page says of all its rows: labels and values. By default how many have which status, and why.

        Args:
            rows: of all finished shards, one after the other: far more than fit into memory.
        """
        counts: Counter[str] = Counter()
        for row in rows:
            label = ": ".join(filter(None, (row.get("status", "samples"), row.get("reason"))))
            counts[label if label in counts or len(counts) < MAX_LABELS else "others"] += 1
        return [(label, f"{count:,}") for label, count in counts.most_common()]

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        """What is wrong with a record that is there, beyond what its roles tell: images and labels are checked for all.

        Args:
            record: as it was read, with the files that its status wants.
            classes: names of the run's classes; the first has id 1.

        Raises:
            ValueError, KeyError: a file cannot be read; the message says what is wrong.
        """
        return iter(())


def fingerprint(folder: str, version: int, identity: Mapping[str, Any], upstream: str) -> str:
    """Hash of a stage's folder, version, identity and of everything that it reads; 32 hex digits."""
    content = {"stage": folder, "version": version, "identity": identity, "upstream": upstream}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What changed between two identities, as ``name: old → new``, nested names joined by dots."""
    lines: list[str] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            lines.append(f"{prefix}{name}: {_short(before)} → {_short(after)}")
    return lines


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
