"""Work on its way: the jobs of one step that may begin, those that wait, those in hand, and what was done."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import DamagedShard
from dsfactory.runner.limits import Limits, Stop
from dsfactory.runner.log import log_event
from dsfactory.runner.making import Job
from dsfactory.runner.progress import Progress, Reports
from dsfactory.runner.summary import StageSummary, finished_rows, outcomes, survey


class Work:
    """Jobs of one step. The scheduler begins them, an executor makes them and says what became of each.

    Args:
        run: the run, or the space, in which the step's shards stand.
        step: the stage with what it reads.
        jobs: those that may begin.
        progress: who is told.
        before: other work, which goes on when this one fails; the error is raised at the end.
    """

    def __init__(
        self, run: Run, step: Step, jobs: Sequence[Job], progress: Progress, before: "Work | None" = None
    ) -> None:
        self.run, self.step, self.name = run, step, step.stage.name
        self._progress, self._before = progress, before
        self._ready = deque(jobs)
        self._in_hand: dict[Job, int] = {}
        """Jobs that are being made, and how many of their samples are through."""
        self._error: Exception | None = None
        self._stopped: Stop | None = None

    @property
    def left(self) -> int:
        """Jobs that may begin."""
        return 0 if self._stopped or self._error else len(self._ready)

    @property
    def in_hand(self) -> int:
        return len(self._in_hand)

    @property
    def expected(self) -> int:
        """Jobs that may begin, now or later."""
        return self.left

    @property
    def busy(self) -> bool:
        """There is something to wait for."""
        return self.left > 0 or self.in_hand > 0

    def begin(self) -> Job | None:
        """The next job, from now on in hand; None when there is none, or a limit is reached."""
        if not self.left or self.limited():
            return None
        job = self._ready.popleft()
        self._in_hand[job] = 0
        return job

    def advanced(self, job: Job, through: int) -> None:
        """This number of samples of a job in hand are through."""

    def report(self, job: Job, name: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of a part are through."""

    def made(self, job: Job, rows: list[dict[str, Any]]) -> None:
        """A job is done; for a shard with its rows, or their outcomes."""
        del self._in_hand[job]

    def damaged(self, job: Job, reason: str) -> None:
        """A shard that a job reads cannot be read. By default the work cannot go on without it."""
        self.lost(job)
        self.failed(DamagedShard(reason))

    def lost(self, job: Job) -> bool:
        """Whoever made a job is gone: it is the next to begin again. True when it was finished all the same."""
        del self._in_hand[job]
        self._ready.appendleft(job)
        return False

    def failed(self, error: Exception) -> None:
        """The work cannot go on.

        Raises:
            Exception: the error, unless the work before can go on without it.
        """
        if self._before is None:
            raise error
        if self._error is None:
            self._error = error
            self._progress.note(f"{self.name} goes on later: {error}")

    def note(self, line: str) -> None:
        """Something about the work that someone should look at."""
        self._progress.warn(f"{self.name}: {line}")

    def limited(self) -> bool:
        """Whether a limit forbids to begin another job; looks at it."""
        return False


class Shards(Work):
    """The shards of a step that are not finished.

    What is there is looked at once, when the work begins. From then on a shard that the work before has made is told
    (:meth:`_appeared`), so that a run of 100,000 shards takes no looks at files that are not there yet.

    Args:
        run: the run, or the space, in which the shards stand; the step has begun.
        step: the stage with what it reads.
        progress: who is told.
        limits: when to stop before all is done.
        before: the work that makes what this one reads, meanwhile.
        made_here: the shards take room on this machine's disk.
    """

    def __init__(
        self,
        run: Run,
        step: Step,
        progress: Progress,
        limits: Limits,
        before: "Shards | None" = None,
        made_here: bool = True,
    ) -> None:
        self.summary, pending = survey(run, step, progress)
        unmade: set[int] = before.unmade if before is not None else set()
        ready = [spec for spec in pending if spec.index not in unmade and step.ready(run, spec)]
        super().__init__(run, step, ready, progress, before)
        self._later = {spec.index: spec for spec in pending if spec.index in unmade}
        self.summary.waiting = sum(map(len, pending)) - sum(map(len, [*ready, *self._later.values()]))
        self.unmade: set[int] = {spec.index for spec in ready} | set(self._later)
        """Numbers of the shards that may be made by this work, as of its beginning."""
        self._limits, self._made_here, self._upstream = limits, made_here, before
        self._begun = self._again = 0
        self._after: Shards | None = None
        if before is not None:
            before._after = self
        else:
            self._announce()

    @property
    def expected(self) -> int:
        return 0 if self._stopped or self._error else len(self._ready) + len(self._later)

    def begin(self) -> Job | None:
        job = super().begin()
        if job is not None:
            if self._begun == 0 and self._upstream is not None:
                self._announce()  # only now, after the stage that it follows
            self._begun += 1
        return job

    def advanced(self, job: Job, through: int) -> None:
        samples = through - self._in_hand[job]
        self._in_hand[job] = through
        twice = min(samples, self._again)
        self._again -= twice
        if samples > twice:
            self._progress.advance(self.name, samples - twice)

    def made(self, job: Job, rows: list[dict[str, Any]]) -> None:
        assert isinstance(job, ShardSpec)
        self.advanced(job, len(job))
        super().made(job, rows)
        self.summary.count(rows)
        self.summary.made += len(job)
        if self._after is not None:
            self._after._appeared(job)

    def damaged(self, job: Job, reason: str) -> None:
        assert isinstance(job, ShardSpec)
        self._again += self._in_hand.pop(job)
        self.summary.damaged.append(reason)
        log_event("damaged", stage=self.name, shard=job.index, reason=reason)
        self.note(f"shard {job.name} is left out: {reason}")

    def lost(self, job: Job) -> bool:
        assert isinstance(job, ShardSpec)
        try:
            rows = finished_rows(self.run, self.step, job)
        except DamagedShard:
            rows = None
        if rows is not None:
            self.made(job, outcomes(rows))  # whoever made it could not say so any more
            return True
        self._again += self._in_hand[job]  # these samples are not through, and will be reported again
        return super().lost(job)

    def _appeared(self, spec: ShardSpec) -> None:
        """The work before has made a shard."""
        if self._later.pop(spec.index, None) is None:
            return
        if self.step.ready(self.run, spec):
            self._ready.append(spec)
        else:  # it reads something else too
            self.summary.waiting += len(spec)

    def limited(self) -> bool:
        if self._upstream is not None and self._upstream._stopped:
            self._stopped = self._upstream._stopped
        else:
            folder = self.run.stage_folder(self.step.stage.folder)
            in_hand, here = self.in_hand, self._made_here
            self._stopped = self._limits.reached(self.run.path, folder, self._begun, in_hand, here)
        return self._stopped is not None

    def _announce(self) -> None:
        total, unit = self.run.total - self.summary.waiting, self.step.stage.unit
        self._progress.begin(self.name, total, self.summary.samples, unit)

    def finish(self) -> StageSummary:
        """Sum up.

        Raises:
            Exception: what ended this work while the one before went on.
        """
        if self._error is not None:
            raise self._error
        self.summary.stopped = self._stopped or (self._upstream._stopped if self._upstream is not None else None)
        self.summary.waiting += sum(map(len, self._later.values()))
        return self.summary


class Parts(Work):
    """Parts of a stage's artifacts.

    Args:
        run: the run.
        stage: whose they are.
        parts: their names.
        progress: who is told.
    """

    def __init__(self, run: Run, stage: Stage, parts: Sequence[str], progress: Progress) -> None:
        super().__init__(run, Step(stage, stage.inputs), parts, progress)
        self._reports, self._count, self._done = Reports(progress), len(parts), 0
        self._reported = False

    def report(self, job: Job, name: str, done: int, total: int) -> None:
        self._reported = True
        self._reports(name, done, total)

    def made(self, job: Job, rows: list[dict[str, Any]]) -> None:
        super().made(job, rows)
        self._done += 1
        if not self._reported:  # it was made where nobody hears of its steps
            self._reports(self.name, self._done, self._count)
