"""Who runs the shards of a stage: this process, worker processes, or a Ray cluster."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dsfactory.core.run import Run
from dsfactory.core.stage import Stage
from dsfactory.errors import UserError
from dsfactory.runner.limits import Limits
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import StageSummary, claim_stage, run_stage

if TYPE_CHECKING:
    from dsfactory.runner.early import EarlyWorkers

FOLLOWERS_PER_GPU = 4
"""Refining takes a core a fifth of a second per image of 512²: four keep up with twenty images a second."""


class Engine(Protocol):
    """Whatever makes all shards of a stage. The bytes do not depend on which one it is."""

    def run_stage(self, run: Run, stage: Stage, progress: Progress, redo: bool, limits: Limits) -> StageSummary:
        """Finish a stage; see :func:`dsfactory.runner.scheduler.run_stage`."""

    def preparing(self, run: Run, stage: Stage, limits: Limits) -> AbstractContextManager[object]:
        """In the block, in which this process makes the stage before, workers may already prepare this one."""

    def run_chain(self, run: Run, stages: Sequence[Stage], progress: Progress, limits: Limits) -> list[StageSummary]:
        """Finish a stage, or two of which the second follows the first shard by shard."""

    def auto_dtype(self, device: str, progress: Progress) -> str:
        """The number format that ``auto`` stands for where this engine draws."""

    def text_device(self, device: str) -> str:
        """Where this process encodes captions, given the device that draws.

        Raises:
            UserError: this engine cannot draw on that device.
        """


class Local(ABC):
    """What engines on this machine have in common."""

    @abstractmethod
    def run_stage(self, run: Run, stage: Stage, progress: Progress, redo: bool, limits: Limits) -> StageSummary: ...

    @abstractmethod
    def followers(self, drawing: Stage, following: Stage) -> Sequence[Stage]:
        """The following stage once per worker process that makes it meanwhile."""

    def run_chain(self, run: Run, stages: Sequence[Stage], progress: Progress, limits: Limits) -> list[StageSummary]:
        from dsfactory.runner.stream import Follower

        first, *second = stages
        if not second:
            return [self.run_stage(run, first, progress, False, limits)]
        followers = self.followers(first, second[0])
        with Follower(run, followers, claim_stage(run, first), progress, limits) as follower:
            done = self.run_stage(run, first, progress, False, limits)
            return [done, follower.finish(done)]

    def preparing(self, run: Run, stage: Stage, limits: Limits) -> AbstractContextManager[object]:
        return nullcontext()

    def auto_dtype(self, device: str, progress: Progress) -> str:
        from dsfactory.models.loading import auto_dtype

        return auto_dtype(device)

    def text_device(self, device: str) -> str:
        return device


class InProcess(Local):
    """This process, with all its threads."""

    def run_stage(self, run: Run, stage: Stage, progress: Progress, redo: bool, limits: Limits) -> StageSummary:
        return run_stage(run, stage, progress, redo, limits)

    def followers(self, drawing: Stage, following: Stage) -> Sequence[Stage]:
        return [following] * count_followers(drawing, 1)


@dataclass
class Workers(Local):
    """Worker processes on this machine.

    Attributes:
        devices: one per worker, such as ``"cuda:1"``; None for the device that the settings name.
    """

    devices: tuple[str | None, ...]
    _early: "EarlyWorkers | None" = field(default=None, init=False, compare=False)

    @contextmanager
    def preparing(self, run: Run, stage: Stage, limits: Limits) -> Iterator[None]:
        from dsfactory.runner.early import EarlyWorkers

        unfinished = len(run.shards()) - len(run.finished(stage.name))
        if limits.reached(run.path, run.stage_folder(stage.name), 0):
            unfinished = 0
        with EarlyWorkers(self._stages(stage)[:unfinished]) as self._early:
            yield

    def run_stage(self, run: Run, stage: Stage, progress: Progress, redo: bool, limits: Limits) -> StageSummary:
        from dsfactory.runner.processes import run_workers

        return run_workers(run, self._stages(stage), progress, redo, limits, self._early)

    def followers(self, drawing: Stage, following: Stage) -> Sequence[Stage]:
        return [following] * count_followers(self._stages(drawing)[0], len(self.devices))

    def _stages(self, stage: Stage) -> list[Stage]:
        return [stage if device is None else stage.on_device(device) for device in self.devices]


IN_PROCESS = InProcess()


def count_followers(drawing: Stage, workers: int) -> int:
    """How many processes keep up with so many that draw: one for each, more on a GPU, while there are cores."""
    import torch

    on_gpu = drawing.device not in (None, "cpu") and torch.cuda.is_available()
    return max(1, min(workers * FOLLOWERS_PER_GPU, os.cpu_count() or 1)) if on_gpu else workers


def choose_engine(
    workers: int | None = None, devices: str | None = None, engine: str = "local", address: str | None = None
) -> Engine:
    """The engine that flags ask for.

    Args:
        workers: number of worker processes; None for this process alone.
        devices: numbers of CUDA devices separated by commas, or ``"all"``; one worker for each.
        engine: ``"local"`` or ``"ray"``.
        address: of the Ray cluster's head.

    Raises:
        UserError: they do not go together, or a device is not there.
    """
    if engine not in ("local", "ray"):
        raise UserError(f"--engine {engine}: choose local or ray")
    if engine == "ray":
        if workers is not None or devices is not None:
            raise UserError("--engine ray shares the work out itself: leave out --workers and --devices")
        from dsfactory.runner.ray import RayEngine

        return RayEngine(address)
    if address is not None:
        raise UserError("--address names a Ray cluster: add --engine ray")
    if workers is not None and devices is not None:
        raise UserError("use --workers (processes on the CPU) or --devices (a process per GPU), not both")
    if devices is not None:
        return Workers(parse_devices(devices))
    if workers is None:
        return IN_PROCESS
    return Workers((None,) * workers)


def parse_devices(text: str) -> tuple[str, ...]:
    """``"0,1"`` as ``("cuda:0", "cuda:1")``; ``"all"`` is every device that PyTorch sees.

    Raises:
        UserError: it cannot be read, or a device is not there.
    """
    import torch

    count = torch.cuda.device_count()
    if text.strip() == "all":
        numbers = list(range(count))
    else:
        parts = [part.strip().removeprefix("cuda:") for part in text.split(",")]
        if not all(part.isascii() and part.isdigit() for part in parts) or len(set(parts)) < len(parts):
            raise UserError(f"--devices {text!r}: write numbers of CUDA devices once each, as 0,1, or all")
        numbers = [int(part) for part in parts]
    if not numbers or max(numbers) >= count:
        seen = f"sees {count} CUDA device{'s' if count != 1 else ''}" if count else "sees no CUDA device"
        raise UserError(f"--devices {text}: PyTorch {seen} here; on a CPU, use --workers")
    return tuple(f"cuda:{number}" for number in numbers)
