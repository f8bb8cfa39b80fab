"""Run stages on a Ray cluster, shard by shard, the run on a path that all nodes share or in a bucket.

What a node or a worker had in hand when it was lost is made again elsewhere. Shards appear atomically and do not
depend on who makes them, so a shard that two nodes make is the same shard.
"""

import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import UserError
from dsfactory.runner.limits import Limits
from dsfactory.runner.log import log_event
from dsfactory.runner.progress import Progress
from dsfactory.runner.ray_node import Made, Order, comparable_versions, dtype_here
from dsfactory.runner.ray_pool import ActorPool, Pool, TaskPool, available
from dsfactory.runner.scheduler import StageSummary, claim_stage, split_waiting, survey
from dsfactory.runner.signals import check_stop, signals_noted
from dsfactory.storage.atomic import remove_leftovers
from dsfactory.storage.remote import finished_elsewhere, place_of

CONNECT_S = 10.0
"""How long the head of a cluster may take to answer."""

TURN_S = 1.0
"""How often signals and limits are looked at while nothing happens."""


class RayEngine:
    """A Ray cluster.

    Args:
        address: of its head, ``"host:port"``; ``"auto"`` for the cluster that this machine is part of. None goes by
            ``RAY_ADDRESS``, then as ``"auto"``, and starts Ray on this machine when there is no cluster.

    Raises:
        UserError: Ray is not installed.
    """

    def __init__(self, address: str | None) -> None:
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise UserError("Ray is not installed: pip install 'dsfactory[ray]'") from error
        self._address = address

    def run_stage(self, run: Run, stage: Stage, progress: Progress, redo: bool, limits: Limits) -> StageSummary:
        return self._run(run, [_Making(run, stage, progress, redo, None)], limits)[0]

    def preparing(self, run: Run, stage: Stage, limits: Limits) -> AbstractContextManager[object]:
        return nullcontext()

    def run_chain(self, run: Run, stages: Sequence[Stage], progress: Progress, limits: Limits) -> list[StageSummary]:
        """The second stage's shards are made beside the first's, each once the shard that it is made of is there."""
        makings: list[_Making] = []
        for stage in stages:
            makings.append(_Making(run, stage, progress, False, makings[-1] if makings else None))
        return self._run(run, makings, limits)

    def _run(self, run: Run, makings: "list[_Making]", limits: Limits) -> list[StageSummary]:
        if any(making.waiting for making in makings):
            self._connect()
            mirrored = place_of(run.path)
            place = mirrored[0] if mirrored is not None else str(run.path.absolute())
            try:
                for making in makings:
                    making.open_pool(place, _wants_gpu(making.stage.device))
                _make_all(makings, limits)
            finally:
                for making in makings:
                    making.close()
        return [making.summary for making in makings]

    def auto_dtype(self, device: str, progress: Progress) -> str:
        """The format of a node's GPU where the cluster has one for this device, else that of a CPU."""
        self._connect()
        if not _wants_gpu(device):
            return "fp32"
        import ray

        answer = ray.remote(num_cpus=1, num_gpus=1)(dtype_here).remote(device)
        told = False
        with signals_noted():
            while not ray.wait([answer], timeout=TURN_S)[0]:
                check_stop()
                if not told and not available("GPU"):
                    told = True
                    progress.note("the cluster has no GPU yet: waiting for a node that has one")
        dtype: str = ray.get(answer)
        return dtype

    def text_device(self, device: str) -> str:
        if device not in ("auto", "cpu", "cuda"):
            raise UserError(f"--device {device} with --engine ray: say cuda, every worker is given a GPU of its own")
        return "auto"  # captions are ranked on this machine, which need not have what nodes have

    def _connect(self) -> None:
        """Join the cluster, once per process; Ray leaves it when the process ends.

        Raises:
            UserError: there is none at the address.
        """
        import ray

        if ray.is_initialized():
            return
        _check_reachable(self._address or os.environ.get("RAY_ADDRESS", ""))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            ray.init(self._address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            place = self._address or os.environ.get("RAY_ADDRESS", "this machine")
            reason = str(error).strip().split("\n")[0][:200]
            raise UserError(
                f"no Ray cluster to work with at {place} ({reason}): see 'ray status' there, or leave out --address to "
                "use this machine"
            ) from error
        for number, handler in handlers.items():  # Ray brings its own, which end the process at once
            signal.signal(number, handler)


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes.

    Raises:
        UserError: nobody listens at ``host:port``.
    """
    host, _, port = address.rpartition(":")
    if "/" in host or not (host and port.isascii() and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster at {address} ({error}): see 'ray status' on its head") from error


def _wants_gpu(device: str | None) -> bool:
    """Whether its shards take a GPU each: the stage says CUDA, or takes what there is and the cluster has GPUs now."""
    return device == "cuda" or (device == "auto" and available("GPU") >= 1)


class _Making:
    """A stage on its way: the shards that can be made, those that wait for the stage before, and what was done.

    Args:
        run: the run.
        stage: the stage.
        progress: who is told.
        redo: make the stage again if it was made with other settings.
        before: the stage before, when that is being made meanwhile.

    Attributes:
        mark: the fingerprint under which the stage works.
        waiting: shards that may be handed out, and those that wait for the stage before, in order.
    """

    def __init__(self, run: Run, stage: Stage, progress: Progress, redo: bool, before: "_Making | None") -> None:
        self.stage = stage
        self.mark: str = claim_stage(run, stage, redo, before.mark if before else None)
        self.summary, pending = survey(run, stage, self.mark, progress)
        self._run, self._progress, self._before = run, progress, before
        self._pool: Pool | None = None
        self._begun = 0
        self._told = False
        self._error: Exception | None = None
        later = set(before.waiting) if before else set()
        self._later = {spec.index: spec for spec in pending if spec in later}
        free = [spec for spec in pending if spec not in later]
        self.summary.waiting, ready = split_waiting(run, stage, free, before.mark if before else None)
        self._ready = deque(ready)
        if before is None:
            self._announce()

    @property
    def waiting(self) -> list[ShardSpec]:
        return [*self._ready, *self._later.values()]

    @property
    def ended(self) -> bool:
        """Nothing more will be handed out."""
        over = self._before is None or (self._before.ended and not self._before.waits_for)
        return bool(self.summary.stopped or self._error) or (not self._ready and (over or not self._later))

    @property
    def waits_for(self) -> list[Any]:
        if self._pool is None or (self.ended and not self._pool.in_hand):
            return []
        return self._pool.waits_for

    def open_pool(self, place: str, gpu: bool) -> None:
        order = Order(place, self.mark, comparable_versions())
        # A fresh stage: every node finds the model by itself, and its weights are compared.
        stage = self.stage.on_device(self.stage.device) if self.stage.device is not None else self.stage
        self._pool = (ActorPool if gpu else TaskPool)(order, stage)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        remove_leftovers(self._run.stage_folder(self.stage.name))

    def hand_out(self, limits: Limits) -> None:
        """Begin as many shards as the cluster has room for."""
        assert self._pool is not None
        while not self.ended and self._pool.room(len(self._ready)) > 0:
            self._look_at_limits(limits)
            if self.ended:
                break
            if self._begun == 0 and self._before is not None:
                self._announce()  # only now, after the stage that it follows
            self._pool.hand_out(self._ready.popleft())
            self._begun += 1
        if (self._ready or self._pool.in_hand) and not available(self._pool.resource):
            self._look_at_limits(limits)
            if not self._told:
                self._told = True
                self._progress.note(
                    f"{self.stage.name}: the cluster has no {self._pool.resource} now: waiting for a node that has one"
                )

    @property
    def stranded(self) -> bool:
        """A limit is reached, and what is in hand can be made nowhere."""
        assert self._pool is not None
        return self.summary.stopped is not None and not available(self._pool.resource)

    def take(self, reference: Any) -> ShardSpec | None:
        """Take in a result; the shard, if it has been made."""
        assert self._pool is not None
        try:
            taken = self._pool.take(reference)
        except Exception as error:
            if self._before is None:
                raise
            self._error = error  # what is drawn need not suffer
            self._progress.note(f"{self.stage.name} goes on later: {error}")
            return None
        if taken is None:
            return None
        spec, made = taken
        if made is None:
            self._ready.appendleft(spec)
            return None
        return spec if self._count(spec, made) else None

    def appeared(self, spec: ShardSpec) -> None:
        """The stage before has made a shard."""
        if spec.index in self._later:
            self._ready.append(self._later.pop(spec.index))

    def finish(self) -> None:
        """Sum up what is left.

        Raises:
            DsfactoryError: what ended this stage while the one before went on.
        """
        if self._error is not None:
            raise self._error
        if self._before is not None:
            self.summary.stopped = self.summary.stopped or self._before.summary.stopped
            self.summary.waiting += sum(map(len, self._later.values()))

    def _look_at_limits(self, limits: Limits) -> None:
        assert self._pool is not None
        if self._before is not None and self._before.summary.stopped:
            self.summary.stopped = self._before.summary.stopped
            return
        folder = self._run.stage_folder(self.stage.name)
        in_hand, made_here = self._pool.in_hand, place_of(self._run.path) is None
        self.summary.stopped = limits.reached(self._run.path, folder, self._begun, in_hand, made_here)

    def _count(self, spec: ShardSpec, made: Made) -> bool:
        for event, facts in made.events:
            log_event(event, **facts)
        if made.damaged:
            self.summary.damaged.append(made.damaged)
            log_event("damaged", stage=self.stage.name, shard=spec.index, reason=made.damaged)
            self._progress.note(f"{self.stage.name}: shard {spec.name} is left out: {made.damaged}")
            return False
        folder = self._run.stage_folder(self.stage.name)
        finished_elsewhere(*(folder / name for name in spec.files))
        self.summary.count(made.outcomes)
        self.summary.made += len(spec)
        self._progress.advance(self.stage.name, len(spec))
        return True

    def _announce(self) -> None:
        self._progress.begin(self.stage.name, self._run.total - self.summary.waiting, self.summary.samples)


def _make_all(makings: list[_Making], limits: Limits) -> None:
    """Make shards on the cluster until all are there or a limit is reached.

    Raises:
        DsfactoryError: what making one raised, or its worker was lost time after time.
        StopSignal: a signal came.
    """
    import ray

    with signals_noted():
        while True:
            check_stop()
            for making in makings:
                making.hand_out(limits)
            whose = {reference: place for place, making in enumerate(makings) for reference in making.waits_for}
            if not whose or all(makings[place].stranded for place in whose.values()):
                break
            for reference in ray.wait(list(whose), timeout=TURN_S)[0]:
                place = whose[reference]
                spec = makings[place].take(reference)
                if spec is not None and place + 1 < len(makings):
                    makings[place + 1].appeared(spec)
    for making in makings:
        making.finish()
