"""Make one shard, or one part of a stage's artifacts: the same in every process and on every machine."""

import time
from collections.abc import Callable
from typing import Any

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec, ShardWriter
from dsfactory.core.stage import Reporter, Stage
from dsfactory.runner.log import log_event
from dsfactory.runner.signals import check_stop

Job = ShardSpec | str
"""What is made in one piece: a shard, or the part of the artifacts that has this name."""


class Maker:
    """A step in this process. Its stage is loaded before the first shard, and once.

    Args:
        step: the stage with what it reads.
        stage: the same stage on the device of this process; by default the step's own.
        loaded: it is loaded already.
    """

    def __init__(self, step: Step, stage: Stage | None = None, loaded: bool = False) -> None:
        self._step, self._stage, self._loaded = step, stage or step.stage, loaded

    def make(self, run: Run, job: Job, advance: Callable[[], None], report: Reporter) -> list[dict[str, Any]]:
        """Make a job; the rows of a shard, none for a part.

        Args:
            run: the run, or the space, that the shard stands in.
            job: which.
            advance: called after every sample.
            report: told how far a part is.

        Raises:
            DamagedShard: a shard that it reads cannot be read.
        """
        if isinstance(job, str):
            self._stage.make_part(run, job, report)
            return []
        if not self._loaded:
            self._stage.load()
            self._loaded = True
        return self._shard(run, job, advance)

    def _shard(self, run: Run, spec: ShardSpec, advance: Callable[[], None]) -> list[dict[str, Any]]:
        stage, start = self._stage, time.monotonic()
        rows: list[dict[str, Any]] = []
        inputs = self._step.readers(run, spec)
        schema, added, folder = stage.writes.schema, stage.writes.added, run.stage_folder(stage.folder)
        with ShardWriter(folder, spec, schema, self._step.mark, added) as writer:
            for record in stage.process(spec, *inputs):
                check_stop()
                writer.add(record)
                rows.append(record.row)
                advance()
            writer.commit()
        seconds = round(time.monotonic() - start, 3)
        log_event("shard", stage=stage.name, shard=spec.index, samples=len(spec), seconds=seconds)
        for row in rows:
            if row.get("status") == "failed":
                log_event("failed", stage=stage.name, key=row["key"], reason=row["reason"])
        return rows
