"""What a run holds at this moment: every sample at the furthest stage it has finished."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dsfactory.core.run import Run, StageState
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.dataset.corrections import Fixes, digest
from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.config import RunConfig
from dsfactory.jobs.job import finished_shards, run_config
from dsfactory.report.sample import Sample, parse_sample
from dsfactory.runner.signals import check_stop

STAGES = ("prompts", "generate", "refine", "filter")
"""The stages whose rows are about the same samples, in order."""


@dataclass
class Source:
    """A run that may be being written: only finished shards are looked at.

    Attributes:
        run: the run.
        config: its resolved configuration.
        states: the stages that were made from each other, in order.
        shards: per stage the indices of its finished shards.
        outdated: stages that were made from something that has been replaced since.
        fixes: masks that a person mended; they win, as in an export.
        fixed: keys of samples whose mended mask was read; filled while reading.
        damaged: a line per shard that could not be read; filled while reading.
    """

    run: Run
    config: RunConfig
    states: dict[str, StageState]
    shards: dict[str, set[int]]
    outdated: list[str]
    fixes: Fixes
    fixed: set[str] = field(default_factory=set)
    damaged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = frozenset(item.name for item in self.run.manifest.classes)

    def samples(self) -> Iterator[tuple[ShardSpec, Sample]]:
        """Every sample that any stage has finished, in order; a shard that cannot be read is noted and left out."""
        for spec in self.run.shards():
            check_stop()
            for sample in self.shard(spec):
                yield spec, sample

    def shard(self, spec: ShardSpec) -> list[Sample]:
        """The samples of one shard; none when no stage has finished it, or when it cannot be read, which is noted."""
        stage = next((stage for stage in reversed(self.states) if spec.index in self.shards[stage]), None)
        if stage is None:
            return []
        try:
            rows = self._reader(stage, spec).rows
            return [parse_sample(row, self._names, f"{stage}/{spec.table}") for row in rows]
        except DamagedShard as error:
            self._note(error)
            return []

    def files(self, wanted: Collection[str], spec: ShardSpec) -> dict[str, dict[str, bytes]]:
        """By key, the files (``image.png``, ``evidence.safetensors``, ``mask.png`` …) of the wanted samples of a shard.

        A stage's files win over those of the stages before, and what a person mended over all. Files that cannot be
        read are noted and left out.
        """
        check_stop()
        files: dict[str, dict[str, bytes]] = {key: {} for key in wanted}
        for stage in self.states:
            if spec.index not in self.shards[stage]:
                continue
            try:
                for record in self._reader(stage, spec).records():
                    if record.key in files:
                        files[record.key] |= record.files
            except DamagedShard as error:
                self._note(error)
        for key in self.fixes.entries.keys() & files.keys():
            self._mend(key, files[key])
        return files

    def _mend(self, key: str, files: dict[str, bytes]) -> None:
        image = files.get("image.png")
        if image is None or digest(image) != self.fixes.entries[key].image_sha256:
            return  # the image was drawn anew since
        try:
            mended = self.fixes.read(key)
        except UserError as error:
            self._note(error)
            return
        self.fixed.add(key)
        for name in ("mask.png", "instances.png"):
            files.pop(name, None)
        if mended is not None:
            files["mask.png"], files["instances.png"] = mended

    def _reader(self, stage: str, spec: ShardSpec) -> ShardReader:
        reader = self.run.reader(stage, spec)
        if reader.mark.fingerprint != self.states[stage].fingerprint:
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
    states: dict[str, StageState] = {}
    outdated: list[str] = []
    upstream = ""
    for stage in STAGES:
        state = run.stage_state(stage)
        if state is None:
            continue
        if outdated or state.upstream != upstream:
            outdated.append(stage)
            continue
        states[stage], upstream = state, state.fingerprint
    shards = {stage: {spec.index for spec in finished_shards(run, stage)} for stage in states}
    if not any(shards.values()):
        raise UserError(f"{run_path} has nothing to show yet: run 'dsfactory generate --out {run_path}' first")
    return Source(run, config, states, shards, outdated, Fixes.of(run_path))
