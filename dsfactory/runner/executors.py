"""Who makes the shards of a stage: this process, worker processes, or a Ray cluster."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.core.stage import Stage
from dsfactory.errors import UserError
from dsfactory.runner.inline import Inline
from dsfactory.runner.limits import Limits
from dsfactory.runner.processes import Processes, Team, start_early
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import Slots, carry_out, works_of
from dsfactory.runner.spawning import Started, end
from dsfactory.runner.summary import StageSummary
from dsfactory.runner.work import Parts, Work
from dsfactory.storage.remote import place_of

FOLLOWERS_PER_GPU = 4
"""Refining takes a core a fifth of a second per image of 512²: four keep up with twenty images a second."""


class Engine(Protocol):
    """Whatever makes all shards of a stage. The bytes do not depend on which one it is."""

    def run(self, run: Run, steps: Sequence[Step], progress: Progress, limits: Limits) -> list[StageSummary]:
        """Finish steps. The caller holds the run's lock, and has seen to it that they may go on.

        A finished shard is left alone. A shard whose own files are damaged is made again; one that is made of a
        damaged shard is named in the summary and the rest goes on. When a limit is reached, the summary says so, and
        the shards that are left wait for the next call.

        Args:
            run: the run, or the space, in which the shards of all these steps stand.
            steps: each after the first reads the one before, shard by shard, and is made beside it.
            progress: who is told.
            limits: when to stop before all is done.

        Raises:
            UserError: a stage cannot be loaded or made.
            DsfactoryError: whoever makes the shards is lost time after time.
        """

    def preparing(self, run: Run, step: Step, limits: Limits) -> AbstractContextManager[object]:
        """In the block, in which this process makes the stage before, workers may already load this one."""

    def make_parts(self, run: Run, stage: Stage, parts: Sequence[str], progress: Progress) -> None:
        """Make parts of a stage's artifacts, several at a time where that is possible. A part may be made twice."""

    def auto_dtype(self, device: str, progress: Progress) -> str:
        """The number format that ``auto`` stands for where this engine generates."""

    def text_device(self, device: str) -> str:
        """Where this process encodes captions, given the device that generates.

        Raises:
            UserError: this engine cannot generate on that device.
        """

    def workers(self, stage: Stage, following: Stage | None = None) -> int | None:
        """How many make a stage at a time, or with ``following`` that one beside it; None: only the cluster knows."""


@dataclass
class Local:
    """This machine.

    Attributes:
        devices: of a worker process each, such as ``"cuda:1"``; None for the device that the settings name. Without
            any, this process makes the shards, and only stages beside another one have worker processes.
    """

    devices: tuple[str | None, ...] = ()
    _early: deque[Started] = field(default_factory=deque, init=False, compare=False, repr=False)
    _early_stage: str = field(default="", init=False, compare=False, repr=False)

    def run(self, run: Run, steps: Sequence[Step], progress: Progress, limits: Limits) -> list[StageSummary]:
        works = works_of(run, steps, progress, limits)
        carry_out(works, self._slots(works))
        return [work.finish() for work in works]

    @contextmanager
    def preparing(self, run: Run, step: Step, limits: Limits) -> Iterator[None]:
        folder = step.stage.folder
        unfinished = len(run.shards()) - len(run.finished(folder)) if self.devices else 0
        if unfinished and limits.reached(run.path, run.stage_folder(folder), 0):
            unfinished = 0
        self._early, self._early_stage = start_early(self._stages(step.stage)[:unfinished]), step.stage.name
        try:
            yield
        finally:
            end(self._early)
            self._early.clear()

    def make_parts(self, run: Run, stage: Stage, parts: Sequence[str], progress: Progress) -> None:
        work = Parts(run, stage, parts, progress)
        carry_out([work], self._slots([work]) if place_of(run.path) is None else Inline(work))

    def auto_dtype(self, device: str, progress: Progress) -> str:
        from dsfactory.models.devices import auto_dtype

        return auto_dtype(device)

    def text_device(self, device: str) -> str:
        return device

    def workers(self, stage: Stage, following: Stage | None = None) -> int | None:
        if following is not None:
            return count_followers(self._stages(stage)[0], len(self._stages(stage)))
        return 1 if stage.inline else len(self._stages(stage))

    def _slots(self, works: Sequence[Work]) -> Slots:
        first, *others = works
        stages = self._stages(first.step.stage)
        here = first.step.stage.inline or not self.devices
        # Between two samples this process may be busy for long: whoever works beside it has a second shard in hand.
        ahead = 2 if here else 1
        beside = [
            Team(work, [work.step.stage] * count_followers(stages[0], len(stages)), ahead=ahead) for work in others
        ]
        if here:
            return Inline(first, *beside)
        return Processes(Team(first, stages, self._early if self._early_stage == first.name else None), *beside)

    def _stages(self, stage: Stage) -> list[Stage]:
        return [stage if device is None else stage.on_device(device) for device in self.devices or (None,)]


IN_PROCESS = Local()


def count_followers(first: Stage, workers: int) -> int:
    """How many processes keep up with those that generate: one for each, more on a GPU, while there are cores."""
    import torch

    on_gpu = first.device not in (None, "cpu") and torch.cuda.is_available()
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
        return Local(parse_devices(devices))
    if workers is None:
        return IN_PROCESS
    return Local((None,) * workers)


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
