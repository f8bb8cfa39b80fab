"""Workers that are started early: they load what a stage needs while this process still makes the stage before."""

import os
from collections.abc import Sequence
from contextlib import suppress

from dsfactory.core.stage import Stage
from dsfactory.runner.spawning import Started, end, start
from dsfactory.runner.worker import Ahead, Task, work


class EarlyWorkers:
    """Workers that wait for a task, or still prepare their stage. Use as a context manager.

    Args:
        stages: the stage once per worker, not prepared; they differ at most in their device.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._waiting: list[Started] = []

    def __enter__(self) -> "EarlyWorkers":
        for number, stage in enumerate(self._stages, start=1):
            self._waiting.append(start(work, Ahead(stage, os.getpid()), f"{stage.name}-{number}"))
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers that nobody took."""
        end(self._waiting)
        self._waiting.clear()

    def take(self, task: Task) -> Started | None:
        """Give the next worker its task, and return it; None when all are taken.

        They are taken in the order of their stages.
        """
        if not self._waiting:
            return None
        started = self._waiting.pop(0)
        with suppress(ConnectionError):  # it died, as the next look at its link will tell
            started.link.send(task)
        return started
