"""A worker process: it takes shards of one stage until none is left."""

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import DamagedShard, DsfactoryError, StopSignal
from dsfactory.runner.claims import Claims
from dsfactory.runner.log import forward_events
from dsfactory.runner.scheduler import make_shard
from dsfactory.runner.signals import check_stop, stop_on_signals
from dsfactory.storage.atomic import discard_unfinished

POLL_S = 0.1
"""How often a worker looks again for shards that others hold, or that the stage before is still making."""

AHEAD = 64
"""A follower looks no further than so many shards that have to wait: those behind them are made later, and looking for
each would keep a core busy in a run of 100,000."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Task:
    """What a worker is to do.

    Attributes:
        run: the run's directory.
        stage: the stage; prepared only where it is given back to a worker that was started early.
        fingerprint: under which the stage works.
        shards: those that were not finished when the work began.
        claims: the file of :class:`dsfactory.runner.claims.Claims`.
        upstream: fingerprint of the stage before when that is being made meanwhile: shards are taken as they appear.
            None when all that will be there is there.
        parent: pid of the process that started this one.
        mirrored: URL and folder of the mirror that the run's directory lies in; None for a run on a disk.
    """

    run: Path
    stage: Stage
    fingerprint: str
    shards: tuple[ShardSpec, ...]
    claims: Path
    upstream: str | None
    parent: int
    mirrored: tuple[str, Path] | None


@dataclass(frozen=True)
class Ahead:
    """What a worker is to do that is started before its task is known: prepare the stage, then wait for the task.

    Attributes:
        stage: the stage, not yet prepared.
        parent: pid of the process that started this one.
    """

    stage: Stage
    parent: int


class Message(NamedTuple):
    """What a worker says.

    Attributes:
        kind: ``"may-begin"`` and ``"upstream-ended"`` are answered with a bool; ``"advance"``, ``"event"``, ``"made"``,
            ``"put-aside"``, ``"damaged"``, ``"failed"`` are not.
        content: what belongs to it.
    """

    kind: str
    content: Any = None


class _Refused(Exception):
    """No further shard may be begun: a limit is reached."""


def work(task: Task | Ahead, link: Connection) -> None:
    """Entry point of the process; its exit code is 0 when nothing is left to do, or the parent knows why not."""
    _die_with(task.parent)
    try:
        stop_on_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everyone; the parent decides
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # the parent blocked it until here
        _serve(task, link)
    except StopSignal as error:
        discard_unfinished()
        sys.exit(error.exit_code)
    except (BrokenPipeError, EOFError):  # the parent is gone
        sys.exit(1)


def _serve(task: Task | Ahead, link: Connection) -> None:
    def say(kind: str, content: Any = None) -> None:
        link.send(Message(kind, content))

    def ask(kind: str, content: Any = None) -> bool:
        say(kind, content)
        return bool(link.recv())

    try:
        with forward_events(lambda event, facts: say("event", (event, facts))):
            if isinstance(task, Ahead):
                task.stage.prepare()
                check_stop()
                _run(replace(link.recv(), stage=task.stage), say, ask, prepared=True)
            else:
                _run(task, say, ask, prepared=False)
    except (BrokenPipeError, EOFError):
        raise
    except Exception as error:
        told = isinstance(error, DsfactoryError | OSError)  # others may not survive the way to the parent
        say("failed", error if told else RuntimeError("".join(traceback.format_exception(error))))


def _run(task: Task, say: Callable[[str, Any], None], ask: Callable[..., bool], prepared: bool) -> None:
    if task.mirrored is not None:
        from dsfactory.storage.mirror import join_mirror

        join_mirror(*task.mirrored)
    try:
        with Claims(task.claims) as claims:
            _Worker(task, claims, say, ask, prepared).run()
    except FileNotFoundError as error:
        if error.filename != str(task.claims):
            raise
        # else the command has ended and taken the file away


def _die_with(parent: int) -> None:
    """End this process when the one that started it ends, however that happens.

    Linux does so at once; elsewhere the next message to the parent fails.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def finished_rows(run: Run, stage: Stage, spec: ShardSpec, mark: str) -> list[dict[str, Any]] | None:
    """The rows of a shard that is finished with this fingerprint; None for one that is not, or that is damaged."""
    try:
        return run.reader(stage.name, spec).rows if run.is_done(stage.name, spec, mark) else None
    except DamagedShard:
        return None


class _Worker:
    def __init__(
        self,
        task: Task,
        claims: Claims,
        say: Callable[[str, Any], None],
        ask: Callable[..., bool],
        prepared: bool = False,
    ) -> None:
        self._task, self._claims, self._say, self._ask = task, claims, say, ask
        self._run = Run.open(task.run)
        self._prepared = prepared
        upstream = task.stage.upstream if task.upstream is not None else None
        self._followed = str(self._run.stage_folder(upstream)) if upstream is not None else None
        self._ended = self._followed is None
        self._aside: list[ShardSpec] = []

    def run(self) -> None:
        """Go over the shards until each is made, by this process or by another."""
        left = list(self._task.shards)
        ahead = len(left)  # the first time: what is there already may be anywhere
        with contextlib.suppress(_Refused):
            while left or self._aside:
                if not self._ended and self._ask("upstream-ended"):
                    self._ended = True
                    left = [spec for spec in (*self._aside, *left) if self._appeared(spec)]
                    self._aside.clear()
                settled = self._look(left, len(left) if self._ended else ahead)
                ahead = AHEAD
                if settled:
                    left = [spec for spec in left if spec.index not in settled]
                elif left or self._aside:
                    time.sleep(POLL_S)

    def _look(self, left: list[ShardSpec], ahead: int) -> set[int]:
        """Settle what can be settled; the numbers of these shards. Ends after so many that have to wait."""
        settled: set[int] = set()
        waiting = 0
        for spec in left:
            if self._appeared(spec) and self._settle(spec):
                settled.add(spec.index)
                continue
            waiting += 1
            if waiting == ahead:
                break
        return settled

    def _appeared(self, spec: ShardSpec) -> bool:
        # Takes half as long as Path.exists, and at first all shards of the run are asked for.
        return self._followed is None or os.path.exists(f"{self._followed}/{spec.table}")

    def _settle(self, spec: ShardSpec) -> bool:
        """See to it that a shard is made, or put it aside; False when it has to be looked at again.

        Raises:
            _Refused: it is not made and may not be begun.
        """
        with self._claims.take(spec.index) as taken:
            if not taken:
                return False
            if finished_rows(self._run, self._task.stage, spec, self._task.fingerprint) is not None:
                return True
            try:
                if not self._upstream_done(spec):
                    return self._ended
                self._make(spec)
            except DamagedShard as error:
                if self._ended:
                    self._say("damaged", (spec, str(error)))
                else:  # the stage before may make it again
                    self._aside.append(spec)
                    self._say("put-aside", None)
        return True

    def _upstream_done(self, spec: ShardSpec) -> bool:
        upstream, mark = self._task.stage.upstream, self._task.upstream
        return upstream is None or mark is None or self._run.is_done(upstream, spec, mark)

    def _make(self, spec: ShardSpec) -> None:
        if not self._ask("may-begin", spec):
            raise _Refused
        if not self._prepared:
            self._task.stage.prepare()
            self._prepared = True
        advance = partial(self._say, "advance", None)
        rows = make_shard(self._run, self._task.stage, spec, self._task.fingerprint, advance)
        outcomes = [{name: row[name] for name in ("status", "reason") if name in row} for row in rows]
        self._say("made", (spec, outcomes))
