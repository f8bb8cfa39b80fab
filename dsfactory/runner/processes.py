"""The executor that makes shards in worker processes, on CPU cores or on GPUs.

This process starts the workers, tells each by its pipe what to make, and puts another in the place of one that dies.
"""

import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NamedTuple, Self

from dsfactory.core.stage import Stage
from dsfactory.errors import DsfactoryError
from dsfactory.runner.log import log_event
from dsfactory.runner.making import Job
from dsfactory.runner.scheduler import TURN_S
from dsfactory.runner.spawning import Started, end, start
from dsfactory.runner.work import Work
from dsfactory.runner.worker import Start, Task, serve
from dsfactory.storage.atomic import remove_leftovers
from dsfactory.storage.remote import place_of

MAX_DEATHS = 3
"""Deaths without a job finished in between after which something is wrong that another try cannot help."""


class Team(NamedTuple):
    """Who makes a work.

    Attributes:
        work: the work.
        stages: its stage once per worker, not loaded; they differ at most in their device.
        early: workers that load the stage already, in the order of the stages; those that are used are taken out.
        ahead: jobs that each worker is given at a time. With a second one it need not wait for a scheduler that looks
            at it only now and then.
    """

    work: Work
    stages: Sequence[Stage]
    early: deque[Started] | None = None
    ahead: int = 1


@dataclass
class _Member:
    number: int
    team: Team
    stage: Stage
    started: Started
    hand: list[Job] = field(default_factory=list)
    """What it was told to make, in order."""


class Processes:
    """Worker processes.

    Args:
        teams: which works, and by whom.
    """

    def __init__(self, *teams: Team) -> None:
        self._teams = teams
        self._members: list[_Member] = []
        self._released: list[Started] = []
        self._deaths: Counter[Work] = Counter()

    def __enter__(self) -> Self:
        for team in self._teams:
            for number, stage in enumerate(team.stages[: team.work.expected], start=1):
                started = team.early.popleft() if team.early else None
                if started is not None:
                    with suppress(ConnectionError):  # it died, as the next look at its link will tell
                        started.link.send(_task(team.work))
                self._add(number, team, stage, started)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End workers that are still there, and remove what those that were killed left."""
        end([*self._released, *(member.started for member in self._members)])
        for team in self._teams:
            folder = team.work.run.stage_folder(team.work.step.stage.folder)
            if folder.is_dir():
                remove_leftovers(folder)

    def room(self, work: Work) -> int:
        return sum(member.team.ahead - len(member.hand) for member in self._of(work))

    def give(self, work: Work, job: Job) -> None:
        member = min(self._of(work), key=lambda member: len(member.hand))
        member.hand.append(job)
        with suppress(ConnectionError):  # it died, as the next look at its link will tell
            member.started.link.send(job)

    def wait(self, hand_out: Callable[[], None], timeout: float = TURN_S) -> None:
        linked = {member.started.link: member for member in self._members}
        for link in wait(list(linked), timeout):
            assert isinstance(link, Connection)
            while self._hear(linked[link]) and link.poll():
                pass

    def release(self, work: Work) -> None:
        for member in self._of(work):
            self._members.remove(member)
            self._released.append(member.started)
            with suppress(ConnectionError):
                member.started.link.send(None)

    def _of(self, work: Work) -> list[_Member]:
        return [member for member in self._members if member.team.work is work]

    def _add(self, number: int, team: Team, stage: Stage, started: Started | None = None) -> None:
        name = f"{team.work.name}-{number}"
        started = started or start(serve, Start(stage, os.getpid(), _task(team.work)), name)
        self._members.append(_Member(number, team, stage, started))

    def _hear(self, member: _Member) -> bool:
        """Take in a worker's next message; False when there was none any more, for it has ended."""
        try:
            kind, content = member.started.link.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            self._gone(member)
            return False
        self._take(member, kind, content)
        return True

    def _take(self, member: _Member, kind: str, content: Any) -> None:
        work = member.team.work
        if kind == "event":
            event, facts = content
            log_event(event, worker=member.number, **facts)
        elif kind == "advanced":
            work.advanced(member.hand[0], content)
        elif kind == "report":
            work.report(member.hand[0], *content)
        elif kind == "made":
            self._deaths[work] = 0
            work.made(member.hand.pop(0), content)
        elif kind == "damaged":
            work.damaged(member.hand.pop(0), content)
        else:
            work.failed(content)

    def _gone(self, member: _Member) -> None:
        """A worker ended: its mistake has been told, or it died and another takes its place."""
        process, link = member.started
        process.join()
        link.close()
        self._members.remove(member)
        for job in reversed(member.hand):  # so that the first is the first again
            if member.team.work.lost(job):
                self._deaths[member.team.work] = 0
        if process.exitcode != 0:
            self._replace(member, process.exitcode or 0)

    def _replace(self, member: _Member, code: int) -> None:
        work = member.team.work
        self._deaths[work] += 1
        cause = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        log_event("worker-died", stage=work.name, worker=member.number, reason=cause)
        if self._deaths[work] >= MAX_DEATHS:
            advice = "if memory is short, use fewer --workers or a smaller --batch-size; finished shards are kept"
            died = f"{self._deaths[work]} workers in a row died, the last one {cause}"
            work.failed(DsfactoryError(f"{work.name}: {died}: {advice}"))
            return
        work.note(f"worker {member.number} {cause}: another takes its place")
        self._add(member.number, member.team, member.stage)


def start_early(stages: Sequence[Stage]) -> deque[Started]:
    """Workers that load their stage before there is anything to make. The caller ends them."""
    return deque(
        start(serve, Start(stage, os.getpid(), None), f"{stage.name}-{number}")
        for number, stage in enumerate(stages, start=1)
    )


def _task(work: Work) -> Task:
    return Task(work.run, work.step, place_of(work.run.path))
