"""A worker process: it makes what it is told, one job after the other, with one stage."""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.core.stage import Stage
from dsfactory.errors import DamagedShard, DsfactoryError, StopSignal
from dsfactory.runner.log import forward_events
from dsfactory.runner.making import Job, Maker
from dsfactory.runner.signals import check_stop, stop_on_signals
from dsfactory.runner.summary import outcomes
from dsfactory.storage.atomic import discard_unfinished

TELL_S = 0.1
"""How often a worker says how far it is, at most: the parent may be busy, and the pipe does not hold much."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Task:
    """What a worker's jobs have in common.

    Attributes:
        run: the run, or the space, in which the shards stand.
        step: the stage with what it reads, and its fingerprint.
        mirrored: URL and folder of the mirror that the run's directory lies in; None for a run on a disk.
    """

    run: Run
    step: Step
    mirrored: tuple[str, Path] | None


@dataclass(frozen=True)
class Start:
    """What a worker is started with.

    Attributes:
        stage: that of all its jobs, on the worker's device, not loaded.
        parent: pid of the process that started this one.
        task: None for a worker that is started early: it loads the stage, and is told its task later.
    """

    stage: Stage
    parent: int
    task: Task | None


def serve(start: Start, link: Connection) -> None:
    """Entry point of the process; its exit code is 0 when it is no longer needed, or has said why it cannot go on.

    It hears jobs, and None at the end. What it says is a kind and what belongs to it: ``"advanced"``, ``"report"``,
    ``"made"`` and ``"damaged"`` are about the first job that it has in hand; ``"event"`` and ``"failed"`` about none.
    """
    _die_with(start.parent)
    try:
        stop_on_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everyone; the parent decides
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # the parent blocked it until here
        _listen(start, link)
    except StopSignal as error:
        discard_unfinished()
        sys.exit(error.exit_code)
    except (ConnectionError, EOFError):  # the parent is gone
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is left to clean up while Python takes itself apart


def _die_with(parent: int) -> None:
    """End this process when the one that started it ends, however that happens.

    Linux does so at once; elsewhere the next message to the parent fails.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _listen(start: Start, link: Connection) -> None:
    def say(kind: str, content: Any) -> None:
        link.send((kind, content))

    try:
        with forward_events(lambda event, facts: say("event", (event, facts))):
            if start.task is None:
                start.stage.load()
                check_stop()
            _make_all(start, start.task or link.recv(), link.recv, say)
    except (ConnectionError, EOFError):
        raise
    except Exception as error:
        told = isinstance(error, DsfactoryError | OSError)  # others may not survive the way to the parent
        say("failed", error if told else RuntimeError("".join(traceback.format_exception(error))))


def _make_all(start: Start, task: Task, next_job: Callable[[], Job | None], say: Callable[..., None]) -> None:
    if task.mirrored is not None:
        from dsfactory.storage.mirror import join_mirror

        join_mirror(*task.mirrored)
    maker = Maker(task.step, start.stage, loaded=start.task is None)
    while (job := next_job()) is not None:
        try:
            rows = maker.make(
                task.run, job, _Advance(say), lambda name, done, total: say("report", (name, done, total))
            )
        except DamagedShard as error:
            say("damaged", str(error))
        else:
            say("made", outcomes(rows))


class _Advance:
    """Says now and then how many samples of a shard are through."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say, self._through, self._said = say, 0, time.monotonic()

    def __call__(self) -> None:
        self._through += 1
        if time.monotonic() - self._said >= TELL_S:
            self._say("advanced", self._through)
            self._said = time.monotonic()
