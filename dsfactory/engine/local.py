"""Run a stage in this process, shard by shard."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dsfactory.core.errors import DamagedShard, UserError
from dsfactory.core.run import Run, StageState
from dsfactory.core.shard import ShardSpec, ShardWriter
from dsfactory.core.stage import Stage, differences, fingerprint
from dsfactory.engine.progress import Progress


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
    """

    stage: str
    samples: int = 0
    made: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    damaged: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "statuses": dict(self.statuses), "reasons": dict(self.reasons)}


def claim_stage(run: Run, stage: Stage, redo: bool = False) -> str:
    """Settle under which fingerprint a stage works in a run, and return it.

    Writes the stage's state when it begins. Changes nothing when the stage was begun before with the
    same settings.

    Raises:
        UserError: the stage before has not begun, or this one was made with other settings and ``redo`` is off.
    """
    upstream = ""
    if stage.upstream is not None:
        state = run.stage_state(stage.upstream)
        if state is None or not run.finished(stage.upstream):
            raise UserError(
                f"{run.path} has nothing to {stage.name} yet: run 'dsfactory {stage.upstream} --out {run.path}' first"
            )
        upstream = state.fingerprint
    identity = stage.identity()
    mark = fingerprint(stage, identity, upstream)
    before = run.stage_state(stage.name)
    if before is not None and (redo or before.fingerprint != mark):
        if not redo:
            changes = _changes(before, stage, identity, upstream)
            raise UserError(
                f"{run.path}: {stage.name} was made with other settings ({changes}): "
                "add --redo to make it again, or name another --out"
            )
        run.discard_stage(stage.name)
    run.begin_stage(
        StageState(stage=stage.name, version=stage.version, fingerprint=mark, upstream=upstream, identity=identity)
    )
    return mark


def _changes(before: StageState, stage: Stage, identity: dict[str, Any], upstream: str) -> str:
    changes = differences(before.identity, identity)
    if before.version != stage.version:
        changes.append(f"algorithm version: {before.version} → {stage.version}")
    if before.upstream != upstream:
        changes.append(f"its {stage.upstream} was made again")
    return ", ".join(changes)


def run_stage(run: Run, stage: Stage, progress: Progress, redo: bool = False) -> StageSummary:
    """Finish every shard of a stage whose upstream is there. The caller holds the run's lock.

    A finished shard is left alone. A shard whose own files are damaged is made again; one whose
    upstream is damaged is named in the summary and the rest goes on.

    Raises:
        UserError: see :func:`claim_stage`.
    """
    mark = claim_stage(run, stage, redo)
    summary = StageSummary(stage.name)
    pending: list[ShardSpec] = []
    ready = set(run.finished(stage.upstream) if stage.upstream is not None else run.shards())
    for spec in run.shards():
        if spec not in ready:
            summary.waiting += len(spec)
        elif _is_done(run, stage, spec, mark, progress):
            _count(run, stage, spec, summary)
        else:
            pending.append(spec)
    progress.begin(stage.name, run.total - summary.waiting, summary.samples)
    if pending:
        stage.prepare()
    for spec in pending:
        try:
            summary.made += _make_shard(run, stage, spec, mark, progress)
            _count(run, stage, spec, summary)
        except DamagedShard as error:
            summary.damaged.append(str(error))
            progress.note(f"{stage.name}: shard {spec.name} is left out: {error}")
    return summary


def _is_done(run: Run, stage: Stage, spec: ShardSpec, mark: str, progress: Progress) -> bool:
    try:
        return run.is_done(stage.name, spec, mark)
    except DamagedShard as error:
        progress.note(f"{stage.name}: shard {spec.name} is made again: {error}")
        return False


def _make_shard(run: Run, stage: Stage, spec: ShardSpec, mark: str, progress: Progress) -> int:
    upstream = run.reader(stage.upstream, spec) if stage.upstream is not None else None
    with ShardWriter(run.stage_folder(stage.name), spec, stage.schema, mark) as writer:
        for record in stage.process(spec, upstream):
            writer.add(record)
            progress.advance()
        writer.commit()
    return len(spec)


def _count(run: Run, stage: Stage, spec: ShardSpec, summary: StageSummary) -> None:
    summary.samples += len(spec)
    if "status" in stage.schema.names:
        rows = run.reader(stage.name, spec).rows
        summary.statuses.update(row["status"] for row in rows)
        summary.reasons.update(row["reason"] for row in rows if row["status"] != "ok")
