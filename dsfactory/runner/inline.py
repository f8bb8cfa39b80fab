"""The executor that makes shards in this thread, one after the other, and lets worker processes work beside it."""

import time
from collections.abc import Callable
from functools import partial

from dsfactory.errors import DamagedShard
from dsfactory.runner.making import Job, Maker
from dsfactory.runner.processes import Processes, Team
from dsfactory.runner.scheduler import TURN_S
from dsfactory.runner.work import Work

GLANCE_S = 0.02
"""How often, at most, the processes beside are looked at between two samples."""


class Inline(Processes):
    """One slot in this thread for one work; other works are made by processes.

    Between two samples this thread takes in what the processes have to say, so it needs no other thread to serve them.

    Args:
        own: the work that is made here.
        beside: the other works.
    """

    def __init__(self, own: Work, *beside: Team) -> None:
        super().__init__(*beside)
        self._own, self._hand, self._maker = own, list[Job](), Maker(own.step)

    def room(self, work: Work) -> int:
        return 1 - len(self._hand) if work is self._own else super().room(work)

    def give(self, work: Work, job: Job) -> None:
        if work is self._own:
            self._hand.append(job)
        else:
            super().give(work, job)

    def wait(self, hand_out: Callable[[], None], timeout: float = TURN_S) -> None:
        """Make the job in hand; without one, wait for the processes."""
        if not self._hand:
            super().wait(hand_out, timeout)
            return
        work, job = self._own, self._hand[0]
        through, glance = 0, 0.0

        def advance() -> None:
            nonlocal through, glance
            through += 1
            work.advanced(job, through)
            if self._teams and time.monotonic() >= glance:
                super(Inline, self).wait(hand_out, 0.0)
                hand_out()
                glance = time.monotonic() + GLANCE_S

        try:
            rows = self._maker.make(work.run, job, advance, partial(work.report, job))
        except DamagedShard as error:
            work.damaged(job, str(error))
        else:
            work.made(job, rows)
        self._hand.clear()
