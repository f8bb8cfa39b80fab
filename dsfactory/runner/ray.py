"""The engine that is a Ray cluster, the run on a path that all nodes share or in a bucket."""

import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.core.stage import Stage
from dsfactory.errors import UserError
from dsfactory.runner.executors import IN_PROCESS
from dsfactory.runner.limits import Limits
from dsfactory.runner.progress import Progress
from dsfactory.runner.ray_node import dtype_here
from dsfactory.runner.ray_slots import RaySlots, available, wants_gpu
from dsfactory.runner.scheduler import TURN_S, carry_out, works_of
from dsfactory.runner.signals import check_stop, signals_noted
from dsfactory.runner.summary import StageSummary
from dsfactory.runner.work import Parts
from dsfactory.storage.remote import place_of

CONNECT_S = 10.0
"""How long the head of a cluster may take to answer."""


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

    def run(self, run: Run, steps: Sequence[Step], progress: Progress, limits: Limits) -> list[StageSummary]:
        if steps[0].stage.inline:
            return IN_PROCESS.run(run, steps, progress, limits)
        works = works_of(run, steps, progress, limits, made_here=place_of(run.path) is None)
        if any(work.expected for work in works):
            self._connect()
            carry_out(works, RaySlots(works))
        return [work.finish() for work in works]

    def preparing(self, run: Run, step: Step, limits: Limits) -> AbstractContextManager[object]:
        return nullcontext()

    def make_parts(self, run: Run, stage: Stage, parts: Sequence[str], progress: Progress) -> None:
        if not parts or place_of(run.path) is not None:
            IN_PROCESS.make_parts(run, stage, parts, progress)
            return
        self._connect()
        work = Parts(run, stage, parts, progress)
        carry_out([work], RaySlots([work]))

    def auto_dtype(self, device: str, progress: Progress) -> str:
        """The format of a node's GPU where the cluster has one for this device, else that of a CPU."""
        self._connect()
        if not wants_gpu(device):
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

    def workers(self, stage: Stage, following: Stage | None = None) -> int | None:
        return 1 if stage.inline and following is None else None

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
