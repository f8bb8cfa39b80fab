"""The one loop that makes everything: it hands jobs to an executor's slots, and takes what comes back.

All decisions fall in the process of the command, which holds the run's lock: what may begin, which limit is reached,
what is made again. So no two processes ever have the same shard in hand, and nobody has to look for work. Executors
only make: :mod:`inline <dsfactory.runner.inline>`, :mod:`processes <dsfactory.runner.processes>`,
:mod:`Ray <dsfactory.runner.ray_slots>`. Shards do not depend on who makes them, so the bytes are always the same.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.runner.limits import Limits
from dsfactory.runner.making import Job
from dsfactory.runner.progress import Progress
from dsfactory.runner.signals import check_stop
from dsfactory.runner.work import Shards, Work

TURN_S = 1.0
"""How often signals are looked at while nothing happens."""


class Slots(Protocol):
    """An executor for some works. Use as a context manager: leaving it ends whatever it started.

    Of a job that it was given it tells the work: any number of :meth:`Work.advanced` or :meth:`Work.report`, then one
    of :meth:`Work.made`, :meth:`Work.damaged`, :meth:`Work.lost`. :meth:`Work.failed` may come at any time.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def room(self, work: Work) -> int:
        """How many jobs of a work it takes now."""

    def give(self, work: Work, job: Job) -> None:
        """Begin a job; there is room for it."""

    def wait(self, hand_out: Callable[[], None], timeout: float = TURN_S) -> None:
        """Wait until something happens, and tell the works.

        Args:
            hand_out: to be called now and then when this takes long: it gives jobs to slots that are free.
            timeout: in seconds; an executor that works in this thread may take longer.
        """

    def release(self, work: Work) -> None:
        """Nothing more of a work will be given. May be said more than once."""


def begin_step(run: Run, step: Step) -> None:
    """Write down under which settings a step works in a run. The caller holds the run's lock.

    Changes nothing when the step was begun before with the same settings; whether it may go on is the plan's business.
    """
    run.begin_stage(step.state())


def works_of(
    run: Run, steps: Sequence[Step], progress: Progress, limits: Limits, made_here: bool = True
) -> list[Shards]:
    """What is left to make of steps; each after the first follows the one before."""
    works: list[Shards] = []
    for step in steps:
        begin_step(run, step)
        works.append(Shards(run, step, progress, limits, works[-1] if works else None, made_here))
    return works


def carry_out(works: Sequence[Work], slots: Slots) -> None:
    """Make all jobs of some works, until none is left or a limit is reached.

    A finished job makes room for the next one, and may make a job of the following work ready; nothing is asked for
    time and again.

    Raises:
        DsfactoryError: what making a job of the first work raised, or whoever makes them is lost time after time.
        StopSignal: a signal came.
    """

    def hand_out() -> None:
        for work in works:
            while work.left and slots.room(work) > 0 and (job := work.begin()) is not None:
                slots.give(work, job)
            if not work.expected and not work.in_hand:
                slots.release(work)

    with slots:
        hand_out()
        while any(work.busy for work in works):
            slots.wait(hand_out)
            check_stop()
            hand_out()
