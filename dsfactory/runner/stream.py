"""Two stages at once: while one makes shards, workers make the next stage's shards of those that are finished.

The queue between them is the run's folder, so it takes no memory, and nothing is lost when either side dies.
"""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from dsfactory.core.run import Run
from dsfactory.core.stage import Stage
from dsfactory.runner.limits import Limits
from dsfactory.runner.processes import Crew
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import StageSummary, claim_stage, split_waiting


class Follower:
    """Workers that make a stage's shards while the block makes those of the stage before.

    The workers are served by a thread of this process. Leaving the block ends them; :meth:`finish` waits for them.

    Args:
        run: the run, whose lock the caller holds.
        stages: the following stage once per worker.
        upstream: fingerprint under which the stage before works in the block.
        progress: who is told.
        limits: when to stop before all is done.

    Raises:
        UserError: the stage was made with other settings.
    """

    def __init__(self, run: Run, stages: Sequence[Stage], upstream: str, progress: Progress, limits: Limits) -> None:
        mark = claim_stage(run, stages[0], upstream=upstream)
        self._crew = Crew(run, stages, mark, progress, limits, upstream)
        self._run, self._stage, self._upstream, self._progress = run, stages[0], upstream, progress
        self._name = stages[0].name
        self._error: BaseException | None = None
        # Waited for in place of the thread: a signal that interrupts Thread.join marks a living thread as ended
        # (Python 3.11), and the next join would not wait.
        self._served = threading.Event()
        # A daemon, for a signal may strike before the block is entered, and nothing would end the thread then.
        self._thread = threading.Thread(target=self._supervise, name=self._name, daemon=True)

    def __enter__(self) -> Self:
        # Started by this thread: on Linux, workers end with the thread that started them.
        self._crew.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._crew.abort()
        self._served.wait()
        self._crew.__exit__(kind, error, trace)

    def finish(self, drawn: StageSummary) -> StageSummary:
        """Wait until all that the stage before made is through, and return what was done.

        Args:
            drawn: what the stage before did; when a limit stopped it, no more shards are begun here either, and the
                summary says so.

        Raises:
            DsfactoryError: a worker failed.
        """
        if drawn.stopped:
            self._crew.close()
        self._crew.end_upstream()
        self._served.wait()
        if self._error is not None:
            raise self._error
        summary = self._crew.summary
        summary.stopped = summary.stopped or drawn.stopped
        summary.waiting, _ = split_waiting(self._run, self._stage, self._crew.shards, self._upstream)
        return summary

    def _supervise(self) -> None:
        try:
            self._crew.supervise()
        except Exception as error:
            self._error = error
            self._progress.note(f"{self._name} goes on later: {error}")
        finally:
            self._served.set()
