"""What a run holds at this moment: every sample at the furthest stage it has finished."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dsfactory.core.lineage import Member, members_of
from dsfactory.core.registry import Begun
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK, MASKS
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.space import space_of
from dsfactory.core.stage import Role
from dsfactory.dataset.corrections import Corrections, digest
from dsfactory.dataset.labels import finished_shards
from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.settings import run_config
from dsfactory.report.sample import Sample, State, parse_sample, score_columns
from dsfactory.runner.signals import check_stop
from dsfactory.stages import STAGES, RunConfig
from dsfactory.trust.run import RunTrust

LABELLED = ("ok", "dropped")
"""Statuses of samples whose masks have a trust."""


@dataclass
class Source:
    """A run that may be being written: only finished shards are looked at.

    Attributes:
        run: the run.
        config: its resolved configuration.
        members: its stages in order, without those that are outdated.
        shards: by folder the indices of the finished shards of the stages about the run's own samples.
        outdated: names of stages that were made of something that has been replaced since.
        corrections: masks that a person corrected; they win, as in an export.
        by_hand: what a person did to a sample, in words, by its key; filled while reading.
        damaged: a line per shard that could not be read; filled while reading.
    """

    run: Run
    config: RunConfig
    members: list[Member]
    shards: dict[str, set[int]]
    outdated: list[str]
    corrections: Corrections
    by_hand: dict[str, str] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = frozenset(item.name for item in self.run.manifest.classes)
        self._own = [member for member in self.members if not member.kind.own_space]
        self._marks = {member.folder: member.state.fingerprint for member in self.members}
        self._scores = score_columns([member.kind.writes.schema for member in self._own])

    @property
    def stages(self) -> list[str]:
        """Names of its stages."""
        return [member.kind.name for member in self.members]

    @property
    def given(self) -> bool:
        """Its images are somebody's own."""
        return any(member.kind.given for member in self.members)

    @cached_property
    def model(self) -> str:
        """The model that the first sample names; empty before there is an image."""
        for member in self._own:
            if "model" in member.kind.writes.schema.names:
                return next((str(row["model"]) for row in self.rows(member)), "")
        return ""

    def rows(self, member: Member) -> Iterator[Mapping[str, Any]]:
        """The rows of a stage, one after the other; a shard that cannot be read is noted and left out."""
        space = space_of(self.run, member.kind)
        for spec in finished_shards(space, member.folder):
            check_stop()
            try:
                yield from self._reader(space, member.folder, spec).rows
            except DamagedShard as error:
                self._note(error)

    def samples(self) -> Iterator[tuple[ShardSpec, Sample]]:
        """Every sample that any stage has finished, in order; a shard that cannot be read is noted and left out."""
        for spec in self.run.shards():
            check_stop()
            for sample in self.shard(spec):
                yield spec, sample

    def shard(self, spec: ShardSpec) -> list[Sample]:
        """The samples of one shard; none when no stage has finished it, or when it cannot be read, which is noted."""
        finished = [member for member in self._own if spec.index in self.shards[member.folder]]
        # A stage that only says which are chosen hands no labels on.
        there = [member for member in finished if "classes" in member.kind.writes.schema.names]
        if not there:
            return []
        folder, roles = there[-1].folder, {role for member in there for role in member.kind.writes.roles}
        reached: State = "kept" if Role.LABEL in roles else "drawn" if Role.IMAGE in roles else "planned"
        try:
            rows = self._reader(self.run, folder, spec).rows
            return [parse_sample(row, self._names, f"{folder}/{spec.table}", reached, self._scores) for row in rows]
        except DamagedShard as error:
            self._note(error)
            return []

    def files(self, wanted: Collection[str], spec: ShardSpec) -> dict[str, dict[str, bytes]]:
        """By key, the files (``image.png``, ``evidence.safetensors``, ``mask.png`` …) of the wanted samples of a shard.

        A stage's files win over those of the stages before, and a correction over all. Files that cannot be read are
        noted and left out.
        """
        check_stop()
        files: dict[str, dict[str, bytes]] = {key: {} for key in wanted}
        for member in self._own:
            if spec.index not in self.shards[member.folder] or not member.kind.writes.files:
                continue
            try:
                for record in self._reader(self.run, member.folder, spec).records():
                    if record.key in files:
                        files[record.key] |= record.files
            except DamagedShard as error:
                self._note(error)
        for key in self.corrections.entries.keys() & files.keys():
            self._correct(key, files[key])
        return files

    def trust(self, spec: ShardSpec, files: Mapping[str, dict[str, bytes]]) -> dict[str, list[float | None]]:
        """By key, the lowest trust among each class's objects; nothing of samples that a person has seen to.

        Args:
            spec: the shard.
            files: of some of its samples, see :meth:`files`.
        """
        labels = next((one for one in reversed(self._own) if Role.LABEL in one.kind.writes.roles), None)
        if labels is None or spec.index not in self.shards[labels.folder]:
            return {}
        try:
            judge = RunTrust.of(self.run, labels.folder, [spec])
            rows = self._reader(self.run, labels.folder, spec).rows
        except DamagedShard as error:
            self._note(error)
            return {}
        wanted = files.keys() - self.by_hand.keys() if judge is not None else set()
        return {
            row["key"]: judge.by_class(row, files[row["key"]])
            for row in rows
            if judge is not None and row["key"] in wanted and row["status"] in LABELLED
        }

    def _correct(self, key: str, files: dict[str, bytes]) -> None:
        image, entry = files.get(IMAGE), self.corrections.entries[key]
        if image is None or digest(image) != entry.image_sha256:
            return  # the image was made again since
        try:
            corrected = self.corrections.read(key)
        except UserError as error:
            self._note(error)
            return
        self.by_hand[key] = entry.in_words
        if entry.decision == "reject":
            return  # what was rejected is shown as it was
        for name in MASKS:
            files.pop(name, None)
        if corrected is not None:
            files[MASK], files[INSTANCES] = corrected

    def _reader(self, space: Run, folder: str, spec: ShardSpec) -> ShardReader:
        reader = space.reader(folder, spec)
        if reader.mark.fingerprint != self._marks[folder]:
            raise UserError(f"{self.run.path} was made again while it was read: give the same command again")
        return reader

    def _note(self, error: DamagedShard | UserError) -> None:
        if str(error) not in self.damaged:
            self.damaged.append(str(error))


def open_source(run_path: Path) -> Source:
    """Look at a run.

    Raises:
        UserError: not a run, or nothing is finished yet.
    """
    config = run_config(run_path)
    run = Run.open(run_path)
    members: list[Member] = []
    outdated: list[str] = []
    for item in STAGES.begun(run):
        # What is outdated serves nobody, so what was made of it is outdated too.
        *_, member = members_of(run, [*(Begun(one.kind, one.state) for one in members), item])
        if member.current:
            members.append(member)
        else:
            outdated.append(item.kind.name)
    folders = [member.folder for member in members if not member.kind.own_space]
    shards = {folder: {spec.index for spec in finished_shards(run, folder)} for folder in folders}
    if not any(shards.values()):
        raise UserError(f"{run_path} has nothing to show yet: run 'dsfactory generate --out {run_path}' first")
    return Source(run, config, members, shards, outdated, Corrections.of(run_path))
