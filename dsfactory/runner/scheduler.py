"""Run a stage in this process, shard by shard, and what every other way of running one shares."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dsfactory.core.run import Run, StageState
from dsfactory.core.shard import ShardSpec, ShardWriter
from dsfactory.core.stage import Stage, differences, fingerprint
from dsfactory.errors import DamagedShard, UserError
from dsfactory.runner.limits import UNLIMITED, Limits, Stop
from dsfactory.runner.log import log_event
from dsfactory.runner.progress import Progress
from dsfactory.runner.signals import check_stop

UNSHOWN_S = 2.0
"""Reading what is finished takes milliseconds a shard; when it takes longer than this in all, it is shown."""


@dataclass
class StageSummary:
    """What one stage did.

    Attributes:
        samples: samples that the stage has finished in all.
        made: samples finished by this call; 0 means that there was nothing to do.
        statuses: how many of all finished samples have which status.
        reasons: how many of all finished samples failed or were rejected for which reason.
        waiting: samples whose shard the stage before has not finished.
        damaged: one line per shard that could not be read.
        stopped: the limit that ended this call before all was done.
    """

    stage: str
    samples: int = 0
    made: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    damaged: list[str] = field(default_factory=list)
    stopped: Stop | None = None

    def count(self, rows: list[dict[str, Any]]) -> None:
        """Add a finished shard's rows."""
        self.samples += len(rows)
        self.statuses.update(row["status"] for row in rows if "status" in row)
        self.reasons.update(row["reason"] for row in rows if row.get("status", "ok") != "ok")

    def as_json(self) -> dict[str, Any]:
        stopped = self.stopped.reason if self.stopped else ""
        return {**self.__dict__, "statuses": dict(self.statuses), "reasons": dict(self.reasons), "stopped": stopped}


def check_stage(run: Run, stage: Stage, upstream: str, redo: bool = False) -> str:
    """Make sure that a stage may work in a run, and return the fingerprint under which it will. Writes nothing.

    Args:
        run: the run.
        stage: the stage with its settings.
        upstream: fingerprint of the stage before; empty for the first.
        redo: the stage is to be made again if it was made with other settings.

    Raises:
        UserError: it was, and ``redo`` is off.
    """
    identity = stage.identity()
    mark = fingerprint(stage, identity, upstream)
    before = run.stage_state(stage.name) if not redo else None
    if before is not None and before.fingerprint != mark:
        changes = _changes(before, stage, identity, upstream)
        raise UserError(
            f"{run.path}: {stage.name} was made with other settings ({changes}): "
            "add --redo to make it again, or name another --out"
        )
    return mark


def upstream_fingerprint(run: Run, stage: Stage) -> str:
    """Under which fingerprint the stage before is made; empty for the first stage.

    Raises:
        UserError: it has not finished a shard.
    """
    if stage.upstream is None:
        return ""
    state = run.stage_state(stage.upstream)
    if state is None or not run.finished(stage.upstream):
        raise UserError(
            f"{run.path} has nothing to {stage.name} yet: run 'dsfactory {stage.upstream} --out {run.path}' first"
        )
    return state.fingerprint


def claim_stage(run: Run, stage: Stage, redo: bool = False, upstream: str | None = None) -> str:
    """Settle under which fingerprint a stage works in a run, and return it.

    Writes the stage's state when it begins. Changes nothing when the stage was begun before with the
    same settings.

    Args:
        run: the run, whose lock the caller holds.
        stage: the stage with its settings.
        redo: make the stage again if it was made with other settings.
        upstream: fingerprint of the stage before when that is still to make its first shard; by default what its
            folder says.

    Raises:
        UserError: the stage before has not begun, or this one was made with other settings and ``redo`` is off.
    """
    if upstream is None:
        upstream = upstream_fingerprint(run, stage)
    mark = check_stage(run, stage, upstream, redo)
    if redo:
        run.discard_stage(stage.name)
    run.begin_stage(
        StageState(
            stage=stage.name, version=stage.version, fingerprint=mark, upstream=upstream, identity=stage.identity()
        )
    )
    return mark


def _changes(before: StageState, stage: Stage, identity: dict[str, Any], upstream: str) -> str:
    changes = differences(before.identity, identity)
    if before.version != stage.version:
        changes.append(f"algorithm version: {before.version} → {stage.version}")
    if before.upstream != upstream:
        changes.append(f"its {stage.upstream} was made again")
    return ", ".join(changes)


def run_stage(
    run: Run, stage: Stage, progress: Progress, redo: bool = False, limits: Limits = UNLIMITED
) -> StageSummary:
    """Finish every shard of a stage whose upstream is there. The caller holds the run's lock.

    A finished shard is left alone. A shard whose own files are damaged is made again; one whose
    upstream is damaged is named in the summary and the rest goes on. When a limit is reached, the summary says so
    and the shards that are left wait for the next call.

    Raises:
        UserError: see :func:`claim_stage`.
    """
    mark = claim_stage(run, stage, redo)
    summary, pending = survey(run, stage, mark, progress)
    summary.waiting, pending = split_waiting(run, stage, pending)
    progress.begin(stage.name, run.total - summary.waiting, summary.samples)
    for made, spec in enumerate(pending):
        summary.stopped = limits.reached(run.path, run.stage_folder(stage.name), made)
        if summary.stopped is not None:
            break
        if made == 0:
            stage.prepare()
        try:
            summary.count(make_shard(run, stage, spec, mark, partial(progress.advance, stage.name)))
            summary.made += len(spec)
        except DamagedShard as error:
            summary.damaged.append(str(error))
            log_event("damaged", stage=stage.name, shard=spec.index, reason=str(error))
            progress.note(f"{stage.name}: shard {spec.name} is left out: {error}")
    return summary


def survey(run: Run, stage: Stage, mark: str, progress: Progress) -> tuple[StageSummary, list[ShardSpec]]:
    """What of a stage is finished under a fingerprint, and which shards are not."""
    summary = StageSummary(stage.name)
    pending: list[ShardSpec] = []
    shards, start, name = run.shards(), time.monotonic(), f"reading {stage.name}"
    shown = False
    for number, spec in enumerate(shards):
        if shown:
            progress.advance(name)
        elif time.monotonic() - start >= UNSHOWN_S:
            shown = True
            progress.begin(name, len(shards), 0, "shards")
            progress.advance(name, number + 1)
        rows = _finished_rows(run, stage, spec, mark, progress)
        if rows is None:
            pending.append(spec)
        else:
            summary.count(rows)
    return summary, pending


def split_waiting(
    run: Run, stage: Stage, pending: list[ShardSpec], upstream: str | None = None
) -> tuple[int, list[ShardSpec]]:
    """How many samples of pending shards wait for the stage before, and the shards that need not wait.

    Args:
        run: the run.
        stage: the stage.
        pending: its shards that are not finished.
        upstream: fingerprint of the stage before when that is being made meanwhile; by default what its folder says.

    Raises:
        UserError: the stage before has finished nothing, and no fingerprint is given.
    """
    if stage.upstream is None:
        return 0, pending
    # One that a redo was killed before it could delete is of earlier settings: it waits to be made again.
    mark = upstream if upstream is not None else upstream_fingerprint(run, stage)
    ready = [spec for spec in pending if run.may_be_read(stage.upstream, spec, mark)]
    return sum(map(len, pending)) - sum(map(len, ready)), ready


def _finished_rows(
    run: Run, stage: Stage, spec: ShardSpec, mark: str, progress: Progress
) -> list[dict[str, Any]] | None:
    """The rows of a shard that is finished with this fingerprint; None for one to be made."""
    try:
        return run.reader(stage.name, spec).rows if run.is_done(stage.name, spec, mark) else None
    except DamagedShard as error:
        log_event("damaged", stage=stage.name, shard=spec.index, reason=str(error))
        progress.note(f"{stage.name}: shard {spec.name} is made again: {error}")
        return None


def make_shard(run: Run, stage: Stage, spec: ShardSpec, mark: str, advance: Callable[[], None]) -> list[dict[str, Any]]:
    """Make a shard and return its rows.

    Args:
        run: the run.
        stage: the stage, prepared.
        spec: the shard.
        mark: the fingerprint under which the stage works.
        advance: called after every sample.

    Raises:
        DamagedShard: the stage before's shard cannot be read.
    """
    start = time.monotonic()
    rows: list[dict[str, Any]] = []
    upstream = run.reader(stage.upstream, spec) if stage.upstream is not None else None
    with ShardWriter(run.stage_folder(stage.name), spec, stage.schema, mark) as writer:
        for record in stage.process(spec, upstream):
            check_stop()
            writer.add(record)
            rows.append(record.row)
            advance()
        writer.commit()
    log_event(
        "shard", stage=stage.name, shard=spec.index, samples=len(spec), seconds=round(time.monotonic() - start, 3)
    )
    for row in rows:
        if row.get("status") == "failed":
            log_event("failed", stage=stage.name, key=row["key"], reason=row["reason"])
    return rows
