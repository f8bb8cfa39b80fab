"""The executor that makes shards on a Ray cluster: tasks that take a core, or actors that keep a GPU and the model.

What a node or a worker had in hand when it was lost is begun again elsewhere. Shards appear atomically and do not
depend on who makes them, so a shard that two nodes make is the same shard.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from dsfactory.core.shard import ShardSpec
from dsfactory.errors import DsfactoryError
from dsfactory.runner.log import log_event
from dsfactory.runner.making import Job
from dsfactory.runner.ray_node import GpuWorker, Made, Order, comparable_versions, make
from dsfactory.runner.scheduler import TURN_S
from dsfactory.runner.signals import signals_noted
from dsfactory.runner.work import Parts, Work
from dsfactory.storage.atomic import remove_leftovers
from dsfactory.storage.remote import finished_elsewhere, place_of

RETRIES = 5
"""How often a job is begun again whose worker or node was lost."""

AHEAD = 2
"""Tasks or actors asked for per core or GPU: the second waits its turn, and tells an autoscaler that more nodes would
be used."""

CANCEL_S = 10.0
"""How long tasks that are called off may take to end."""


def available(resource: str) -> int:
    """How many of ``"CPU"`` or ``"GPU"`` the cluster has at this moment."""
    import ray

    return int(ray.cluster_resources().get(resource, 0))


def wants_gpu(device: str | None) -> bool:
    """Whether its jobs take a GPU each: the stage says CUDA, or takes what there is and the cluster has GPUs now."""
    return device == "cuda" or (device == "auto" and available("GPU") >= 1)


class RaySlots:
    """A pool for each work, on the cluster that this process has joined."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._pools = {work: _Pool(work) for work in works}
        self._told: set[Work] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(signals_noted())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Call off what is in hand, let go of the nodes, and remove what those that were killed left."""
        with self._stack:
            for work, pool in self._pools.items():
                pool.close()
                remove_leftovers(work.run.stage_folder(work.step.stage.folder))

    def room(self, work: Work) -> int:
        return self._pools[work].room()

    def give(self, work: Work, job: Job) -> None:
        self._pools[work].give(job)

    def wait(self, hand_out: Callable[[], None], timeout: float = TURN_S) -> None:
        import ray

        for work, pool in self._pools.items():
            if work.busy and not available(pool.resource):
                self._stuck(work, pool)
        whose = {reference: pool for pool in self._pools.values() for reference in pool.hands}
        for reference in ray.wait(list(whose), timeout=timeout)[0] if whose else ():
            whose[reference].take(reference)

    def release(self, work: Work) -> None:
        self._pools[work].close()

    def _stuck(self, work: Work, pool: "_Pool") -> None:
        """The cluster has none of what a work needs: a node may come, unless a limit is reached before."""
        if work.limited():
            for job in pool.close():
                work.lost(job)
        elif work not in self._told:
            self._told.add(work)
            work.note(f"the cluster has no {pool.resource} now: waiting for a node that has one")


class _Pool:
    """Makes a work's jobs: in a task each, which takes a core; or in actors, which keep a GPU each.

    A task on a GPU would load the model for every shard, since Ray ends a process that had one. Nothing is started
    again by Ray itself: a shard whose worker was lost may be finished all the same.

    Attributes:
        resource: what a job needs one of, by Ray's name.
        hands: by reference the actor, if it is one, and its job; None for an actor that is being started.
    """

    def __init__(self, work: Work) -> None:
        import ray

        stage, mirrored = work.step.stage, place_of(work.run.path)
        gpu = wants_gpu(stage.device)
        self.resource = "GPU" if gpu else "CPU"
        self.hands: dict[Any, tuple[Any, Job | None]] = {}
        self._work, self._idle, self._losses = work, list[Any](), Counter[Job | None]()
        self._make = ray.remote(num_cpus=1, max_retries=0)(make)
        self._actor = ray.remote(num_cpus=1, num_gpus=1)(GpuWorker) if gpu else None
        # A fresh stage: every node finds the model by itself, and its weights are compared.
        fresh = stage.on_device(stage.device) if stage.device is not None else stage
        place = mirrored[0] if mirrored is not None else str(work.run.path.absolute())
        mark = "" if isinstance(work, Parts) else work.step.mark
        self._order = ray.put(Order(place, work.run, replace(work.step, stage=fresh), mark, comparable_versions()))

    def room(self) -> int:
        """How many jobs to hand out now. Asks the cluster for actors where more are wanted."""
        most = AHEAD * max(1, available(self.resource))
        if self._actor is None:
            return most - len(self.hands)
        jobs = sum(job is not None for _, job in self.hands.values())
        for _ in range(min(self._work.left + jobs, most) - len(self.hands) - len(self._idle)):
            actor = self._actor.remote()
            self.hands[actor.ready.remote()] = actor, None
        return len(self._idle)

    def give(self, job: Job) -> None:
        actor = self._idle.pop() if self._actor is not None else None
        make = self._make if actor is None else actor.make
        self.hands[make.remote(self._order, job)] = actor, job

    def take(self, reference: Any) -> None:
        """Tell the work what became of a reference that is ready."""
        import ray

        actor, job = self.hands.pop(reference)
        try:
            made: Made | None = ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # what making it raised
            if job is not None:
                self._work.lost(job)
            self._work.failed(error.cause)
            return
        except ray.exceptions.RayError as error:  # whoever made it is gone
            self._lost(job, error)
            return
        self._losses.pop(job, None)
        if actor is not None:
            self._idle.append(actor)
        if job is not None and made is not None:
            self._made(job, made)

    def close(self) -> list[Job]:
        """Call off what is in hand, and let go of all GPUs; the jobs that are not made."""
        import ray

        for reference, (actor, _) in self.hands.items():
            if actor is None:
                ray.cancel(reference, force=True)
        for actor in [*self._idle, *(actor for actor, _ in self.hands.values() if actor is not None)]:
            ray.kill(actor)
        jobs = {reference: job for reference, (_, job) in self.hands.items() if job is not None}
        if jobs:  # those of actors fail once these are gone
            ray.wait(list(jobs), num_returns=len(jobs), timeout=CANCEL_S)
        self.hands.clear()
        self._idle.clear()
        return list(jobs.values())

    def _made(self, job: Job, made: Made) -> None:
        work = self._work
        for event, facts in made.events:
            log_event(event, **facts)
        if made.damaged:
            work.damaged(job, made.damaged)
            return
        if isinstance(job, ShardSpec):
            folder = work.run.stage_folder(work.step.stage.folder)
            finished_elsewhere(*(folder / name for name in job.files))
        work.made(job, made.outcomes)

    def _lost(self, job: Job | None, error: Exception) -> None:
        """A worker or its node is gone."""
        if job is not None and self._work.lost(job):
            return  # it was the last thing that it did
        self._losses[job] += 1
        if self._losses[job] > RETRIES:
            what = job.name if isinstance(job, ShardSpec) else job
            line = (
                f"shard {what} was lost {RETRIES + 1} times with its worker ({type(error).__name__}): "
                "look at the nodes' memory; finished shards are kept"
                if job is not None
                else f"no worker can be started on the cluster's GPUs: {error}"
            )
            self._work.failed(DsfactoryError(f"{self._work.name}: {line}"))
