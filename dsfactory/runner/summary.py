"""What a stage has finished: read from its folder when work begins, and counted from then on."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.errors import DamagedShard
from dsfactory.runner.limits import Stop
from dsfactory.runner.log import log_event
from dsfactory.runner.progress import Progress

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
        """Add a finished shard's rows, or their outcomes."""
        self.samples += len(rows)
        self.statuses.update(row["status"] for row in rows if "status" in row)
        self.reasons.update(row["reason"] for row in rows if row.get("status", "ok") != "ok")

    def as_json(self) -> dict[str, Any]:
        stopped = self.stopped.reason if self.stopped else ""
        return {**self.__dict__, "statuses": dict(self.statuses), "reasons": dict(self.reasons), "stopped": stopped}


def outcomes(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of rows what a summary counts: little enough to be sent."""
    return [{name: row[name] for name in ("status", "reason") if name in row} for row in rows]


def finished_rows(run: Run, step: Step, spec: ShardSpec) -> list[dict[str, Any]] | None:
    """The rows of a shard that is finished; None for one that is not there, or was made with other settings.

    Raises:
        DamagedShard: it cannot be read.
    """
    folder = step.stage.folder
    return run.reader(folder, spec).rows if run.is_done(folder, spec, step.mark) else None


def survey(run: Run, step: Step, progress: Progress) -> tuple[StageSummary, list[ShardSpec]]:
    """What of a stage is finished, and which shards are not. A damaged one is to be made again."""
    name = step.stage.name
    summary = StageSummary(name)
    pending: list[ShardSpec] = []
    shards, start, shown = run.shards(), time.monotonic(), False
    for number, spec in enumerate(shards):
        if shown:
            progress.advance(f"reading {name}")
        elif time.monotonic() - start >= UNSHOWN_S:
            shown = True
            progress.begin(f"reading {name}", len(shards), 0, "shards")
            progress.advance(f"reading {name}", number + 1)
        try:
            rows = finished_rows(run, step, spec)
        except DamagedShard as error:
            rows = None
            log_event("damaged", stage=name, shard=spec.index, reason=str(error))
            progress.warn(f"{name}: shard {spec.name} is made again: {error}")
        if rows is None:
            pending.append(spec)
        else:
            summary.count(rows)
    return summary, pending
