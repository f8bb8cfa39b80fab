"""Run a stage in several worker processes, on CPU cores or on GPUs.

Workers take shards by themselves (see :mod:`dsfactory.runner.claims`), and shards do not depend on who makes them, so
the bytes are those of one worker. This process holds the run's lock, starts workers, replaces those that die, and
reports. It is the only one that decides about limits, prints and logs.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import DsfactoryError, StopSignal
from dsfactory.runner.early import EarlyWorkers
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.log import log_event
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import StageSummary, claim_stage, split_waiting, survey
from dsfactory.runner.spawning import Started, end, start
from dsfactory.runner.worker import POLL_S, Message, Task, finished_rows, work
from dsfactory.storage.atomic import remove_leftovers, scratch_path
from dsfactory.storage.remote import place_of

MAX_DEATHS = 3
"""So many workers may die without a shard finished in between; then something is wrong that another try cannot mend."""

_TOLD_TO_STOP = (StopSignal.exit_code, -signal.SIGTERM)
"""Exit codes of a worker that got SIGTERM, before or after it began to listen to signals."""


def run_workers(
    run: Run,
    stages: Sequence[Stage],
    progress: Progress,
    redo: bool = False,
    limits: Limits = UNLIMITED,
    early: EarlyWorkers | None = None,
) -> StageSummary:
    """Finish every shard of a stage whose upstream is there, as :func:`dsfactory.runner.scheduler.run_stage` does.

    Args:
        run: the run, whose lock the caller holds.
        stages: the same stage once per worker; they differ at most in their device.
        progress: who is told.
        redo: make the stage again if it was made with other settings.
        limits: when to stop before all is done.
        early: workers that prepare the stage already.

    Raises:
        UserError: see :func:`dsfactory.runner.scheduler.claim_stage`; or what a worker raised.
        DsfactoryError: workers keep dying.
    """
    crew = Crew(run, stages, claim_stage(run, stages[0], redo), progress, limits, early=early)
    with crew:
        crew.supervise()
    return crew.summary


@dataclass
class _Member:
    number: int
    stage: Stage
    started: Started
    shard: ShardSpec | None = None
    """The shard that it is making."""
    through: int = 0
    """Samples of that shard that it has reported."""


class Crew:
    """The workers of one stage. Use as a context manager: leaving it ends them all.

    Args:
        run: the run, whose lock the caller holds.
        stages: the same stage once per worker.
        mark: the fingerprint under which the stage works.
        progress: who is told.
        limits: when to stop before all is done.
        upstream: fingerprint of the stage before when that is being made meanwhile; its shards are taken as they
            appear, until :meth:`end_upstream` is called.
        early: workers that prepare the stage already.

    Attributes:
        summary: what was done so far.
        shards: those that were not finished when the work began.
    """

    def __init__(
        self,
        run: Run,
        stages: Sequence[Stage],
        mark: str,
        progress: Progress,
        limits: Limits,
        upstream: str | None = None,
        early: EarlyWorkers | None = None,
    ) -> None:
        self._run, self._stages, self._mark, self._early = run, stages, mark, early
        self._progress, self._limits, self._upstream = progress, limits, upstream
        self._name = stages[0].name
        self._folder = run.stage_folder(self._name)
        self._claims = scratch_path(self._folder / "claims")
        self._members: list[_Member] = []
        self._stopped: list[_Member] = []
        self._begun = self._deaths = self._counted_twice = 0
        self._damaged: set[int] = set()
        self._upstream_ended = upstream is None
        self._closed = self._aborted = False
        self.summary, self.shards = survey(run, stages[0], mark, progress)
        if upstream is None:
            self.summary.waiting, self.shards = split_waiting(run, stages[0], self.shards)

    def __enter__(self) -> Self:
        if self._upstream is None:
            self._announce()
        self._claims.touch()
        for number, stage in enumerate(self._stages[: len(self.shards)], start=1):
            self._start(number, stage)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def supervise(self) -> None:
        """Serve the workers until none is left.

        Raises:
            DsfactoryError: one of them failed, or they keep dying.
        """
        while (self._members or self._stopped) and not self._aborted:
            while self._stopped and self._upstream_ended:
                self._replace(self._stopped.pop())
            linked = {member.started.link: member for member in self._members}
            for link in wait(list(linked), timeout=POLL_S):
                assert isinstance(link, Connection)
                try:
                    message = link.recv()
                except (EOFError, OSError):  # OSError: it died in the middle of a message
                    self._gone(linked[link])
                else:
                    self._hear(linked[link], message)

    def end_upstream(self) -> None:
        """The stage before makes no more shards: workers finish what is there."""
        self._upstream_ended = True

    def close(self) -> None:
        """Workers begin no more shards."""
        self._closed = True

    def abort(self) -> None:
        """:meth:`supervise` returns soon, wherever its thread is, and leaves the workers to ``__exit__``."""
        self._aborted = True

    def _announce(self) -> None:
        self._progress.begin(self._name, self._run.total - self.summary.waiting, self.summary.samples)

    def _start(self, number: int, stage: Stage) -> None:
        place = place_of(self._run.path)
        shards = tuple(self.shards)
        task = Task(self._run.path, stage, self._mark, shards, self._claims, self._upstream, os.getpid(), place)
        started = self._early.take(task) if self._early is not None else None
        self._members.append(_Member(number, stage, started or start(work, task, f"{self._name}-{number}")))

    def _hear(self, member: _Member, message: Message) -> None:
        kind, content = message
        if kind == "may-begin":
            self._answer(member, self._may_begin(member, content))
        elif kind == "upstream-ended":
            self._answer(member, self._upstream_ended)
        elif kind == "advance":
            self._advance(member)
        elif kind == "event":
            event, facts = content
            log_event(event, worker=member.number, **facts)
        elif kind == "made":
            self._made(member, *content)
        elif kind == "put-aside":
            self._lost(member)
        elif kind == "damaged":
            self._lost(member)
            self._leave_out(*content)
        else:
            raise content

    def _answer(self, member: _Member, answer: bool) -> None:
        with suppress(ConnectionError):  # it died since it asked, as the next look at its link will tell
            member.started.link.send(answer)

    def _may_begin(self, member: _Member, spec: ShardSpec) -> bool:
        for other in self._members:
            if other.shard == spec:
                self._lost(other)  # it is dead: who asks holds the shard's claim, and found it unfinished
        if self.summary.stopped is None and not self._closed:
            in_hand = sum(other.shard is not None for other in self._members)
            self.summary.stopped = self._limits.reached(self._run.path, self._folder, self._begun, in_hand)
        if self.summary.stopped or self._closed:
            return False
        if self._begun == 0 and self._upstream is not None:
            self._announce()  # only now, after the stage that it follows
        self._begun += 1
        member.shard = spec
        return True

    def _advance(self, member: _Member) -> None:
        if member.shard is None:
            return  # what a dead worker said of a shard that another is making by now
        member.through += 1
        if self._counted_twice:
            self._counted_twice -= 1
        else:
            self._progress.advance(self._name)

    def _made(self, member: _Member, spec: ShardSpec, outcomes: list[dict[str, Any]]) -> None:
        member.shard, member.through, self._deaths = None, 0, 0
        self.summary.count(outcomes)
        self.summary.made += len(spec)

    def _lost(self, member: _Member) -> None:
        """A worker does not make what it has in hand: samples that it reported are not through."""
        self._counted_twice += member.through
        member.shard, member.through = None, 0

    def _leave_out(self, spec: ShardSpec, reason: str) -> None:
        if spec.index not in self._damaged:
            self._damaged.add(spec.index)
            self.summary.damaged.append(reason)
            log_event("damaged", stage=self._name, shard=spec.index, reason=reason)
            self._progress.note(f"{self._name}: shard {spec.name} is left out: {reason}")

    def _gone(self, member: _Member) -> None:
        """A worker ended: it found nothing left to do, or it died and another takes its place."""
        member.started.process.join()
        member.started.link.close()
        self._members.remove(member)
        if self._aborted:
            return
        if member.shard is not None:
            rows = finished_rows(self._run, member.stage, member.shard, self._mark)
            if rows is not None:
                self._made(member, member.shard, rows)  # it died before it could say so
            else:
                self._lost(member)
        code = member.started.process.exitcode
        if code in _TOLD_TO_STOP and not self._upstream_ended:
            # Everyone may have been told, and the main thread hears of it last, when what it draws lets go of it.
            self._stopped.append(member)
        elif code != 0:
            self._replace(member)

    def _replace(self, member: _Member) -> None:
        self._deaths += 1
        code = member.started.process.exitcode
        cause = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        log_event("worker-died", stage=self._name, worker=member.number, reason=cause)
        if self._deaths >= MAX_DEATHS:
            raise DsfactoryError(
                f"{self._name}: {self._deaths} workers in a row died, the last one {cause}: if memory is short, use "
                "fewer --workers or a smaller --batch-size; finished shards are kept"
            )
        self._progress.note(f"{self._name}: worker {member.number} {cause}: another takes its place")
        self._start(member.number, member.stage)

    def _end(self) -> None:
        """End workers that are still there, and remove what those that were killed left."""
        end([member.started for member in self._members])
        self._members.clear()
        if self._folder.is_dir():
            remove_leftovers(self._folder)
