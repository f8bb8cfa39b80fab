"""How much a stage would make: samples, bytes and seconds, from what the run has measured or by a rule of thumb."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsfactory.core.run import Run
from dsfactory.core.space import space_of
from dsfactory.core.stage import Stage
from dsfactory.jobs.job import Request
from dsfactory.jobs.pace import by_workers, read_pace
from dsfactory.runner.log import LOG
from dsfactory.stages import RunConfig
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.model import image_size

EXPORT_RULE = (1.9, 3_000.0)
"""Rule of thumb for an export: bytes per pixel, and bytes per sample on top."""

PACE = "this run's pace so far"
RULE = "a rule of thumb"


@dataclass(frozen=True)
class StagePlan:
    """What a stage would do.

    Attributes:
        stage: its name; of an export, that of the format.
        finished: samples that it has.
        to_make: samples that it would make.
        bytes: what these would take on the disk.
        measured: the bytes are those of this run's samples; otherwise a rule of thumb.
        seconds: how long they would take at a pace that was measured; None when none was.
        basis: where the pace comes from, in words.
        unit: what is counted.
        workers: how many work on it at once; None where only a cluster knows, and the seconds are those of one.
        discards: finished samples that are deleted first.
    """

    stage: str
    finished: int
    to_make: int
    bytes: int
    measured: bool
    seconds: float | None
    basis: str = PACE
    unit: str = "samples"
    workers: int | None = 1
    discards: int = 0


@dataclass
class Counting:
    """Counts what a chain would make."""

    config: RunConfig
    out: Path
    run: Run | None
    request: Request
    stages: Sequence[Stage] | None

    def __post_init__(self) -> None:
        self._pace = read_pace(self.out / LOG)
        width, height = image_size(self.config.of(GenerateConfig))
        self._pixels = (width or 512) * (height or 512)
        self._available: dict[str, int] = {}
        """Samples that a stage of the chain will have, by its folder."""
        self._labelled = 0

    def stage(self, kind: type[Stage], is_beside: bool) -> StagePlan:
        """A stage of the chain; those before it have been counted."""
        stage = next((item for item in self.stages or () if type(item) is kind), None)
        stage = stage or kind.build(self.config, self.out)
        space = space_of(self.run, kind) if self.run is not None else None
        there = sum(map(len, space.finished(kind.folder))) if space is not None else 0
        finished = 0 if self.request.redo else there
        total = self._total(stage, space)
        self._available[kind.folder] = total
        self._labelled = total
        to_make = max(0, total - finished)
        measured = bytes_per_sample(space, kind.folder) if space is not None else None
        rule = kind.writes.bytes_per_pixel * self._pixels + kind.writes.bytes_per_sample
        workers = self._workers(kind, stage, is_beside)
        if workers is not None:  # no more than there are shards for
            workers = max(1, min(workers, -(-to_make // self.config.shard_size)))
        seconds = self._seconds(kind.name, to_make, workers or 1)
        return StagePlan(
            kind.name, finished, to_make, round((measured or rule) * to_make), bool(measured), seconds,
            workers=workers, discards=there - finished,
        )  # fmt: skip

    def _total(self, stage: Stage, space: Run | None) -> int:
        """Samples that a stage will have."""
        wanted = stage.wanted(space)
        if wanted:
            return sum(wanted.values()) if space is None else space.planned(wanted, self.request.redo)
        read = [item.kind.folder for item in stage.inputs]
        counts = [self._available[folder] if folder in self._available else self._there(folder) for folder in read]
        return min(counts, default=0)

    def _there(self, folder: str) -> int:
        return sum(map(len, self.run.finished(folder))) if self.run is not None else 0

    def _workers(self, kind: type[Stage], stage: Stage, is_beside: bool) -> int | None:
        if kind.inline:
            return 1
        before = next((item for item in self.stages or () if is_beside and item.folder in _folders(stage)), None)
        engine = self.request.engine
        return engine.workers(before, stage) if before is not None else engine.workers(stage)

    def _seconds(self, name: str, count: int, workers: int = 1) -> float | None:
        """Time of this many; several workers compute with a thread each, so their own pace counts if there is one."""
        each = self._pace.get(by_workers(name)) if workers > 1 else None
        each = self._pace.get(name) if each is None else each
        return round(each * count / workers, 1) if each is not None else None

    def export(self, name: str) -> StagePlan:
        """An export of what the last stage labelled."""
        per_pixel, per_sample = EXPORT_RULE
        size = round((per_pixel * self._pixels + per_sample) * self._labelled)
        seconds = self._seconds(f"export {name}", self._labelled)
        return StagePlan(name, 0, self._labelled, size, False, seconds)


def _folders(stage: Stage) -> set[str]:
    return {item.kind.folder for item in stage.inputs}


def bytes_per_sample(run: Run, folder: str) -> float | None:
    """Mean size of what a stage has made of a sample; None when it has made nothing."""
    specs = run.finished(folder)
    if not specs:
        return None
    files = [run.stage_folder(folder) / name for spec in specs for name in spec.files]
    return sum(file.stat().st_size for file in files if file.exists()) / sum(map(len, specs))
