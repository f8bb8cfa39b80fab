"""Who makes shards on a Ray cluster: tasks that take a core, or actors that keep a GPU and the model on it."""

from collections import Counter
from typing import Any, Protocol

from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import DsfactoryError
from dsfactory.runner.ray_node import GpuWorker, Made, Order, make

RETRIES = 5
"""How often a shard is started again whose worker or node was lost."""

AHEAD = 2
"""Tasks or actors asked for per core or GPU: the second waits its turn, and tells an autoscaler that more nodes would
be used."""

CANCEL_S = 10.0
"""How long tasks that are called off may take to end."""


class Pool(Protocol):
    """Makes a stage's shards.

    Attributes:
        resource: what a shard needs one of, by Ray's name.
        waits_for: references that :func:`ray.wait` is to watch.
    """

    resource: str

    @property
    def in_hand(self) -> int:
        """Shards that are being made."""

    @property
    def waits_for(self) -> list[Any]: ...

    def room(self, left: int) -> int:
        """How many more shards to hand out now, of so many that are left."""

    def hand_out(self, spec: ShardSpec) -> None: ...

    def take(self, reference: Any) -> tuple[ShardSpec, Made | None] | None:
        """What became of a reference that is ready: a shard and its report, or None for one that was lost and is to be
        handed out again; None alone when it was no shard's.

        Raises:
            DsfactoryError: what making it raised; or it was lost time after time.
        """

    def close(self) -> None:
        """Call off what is in hand, and let go of the nodes."""


def available(resource: str) -> int:
    """How many of ``"CPU"`` or ``"GPU"`` the cluster has at this moment."""
    import ray

    return int(ray.cluster_resources().get(resource, 0))


class TaskPool:
    """A Ray task per shard, a core each. Ray itself starts a task again whose worker or node is lost."""

    resource = "CPU"

    def __init__(self, order: Order, stage: Stage) -> None:
        import ray

        self._order, self._name, self._stage = order, stage.name, ray.put(stage)
        self._make = ray.remote(num_cpus=1, max_retries=RETRIES)(make)
        self._shards: dict[Any, ShardSpec] = {}

    @property
    def in_hand(self) -> int:
        return len(self._shards)

    @property
    def waits_for(self) -> list[Any]:
        return list(self._shards)

    def room(self, left: int) -> int:
        return min(left, AHEAD * max(1, available(self.resource)) - len(self._shards))

    def hand_out(self, spec: ShardSpec) -> None:
        self._shards[self._make.remote(self._order, self._stage, spec)] = spec

    def take(self, reference: Any) -> tuple[ShardSpec, Made | None] | None:
        import ray

        spec = self._shards.pop(reference)
        try:
            return spec, _fetch(reference)
        except ray.exceptions.RayError as error:
            raise _lost(self._name, spec, error) from error

    def close(self) -> None:
        import ray

        for reference in self._shards:
            ray.cancel(reference, force=True)
        if self._shards:
            ray.wait(list(self._shards), num_returns=len(self._shards), timeout=CANCEL_S)


class ActorPool:
    """An actor per GPU. A task would load the model for every shard, since Ray ends a process that had a GPU.

    An actor that is lost with its node is not started again: its shard is handed out anew, and another actor asked for.
    """

    resource = "GPU"

    def __init__(self, order: Order, stage: Stage) -> None:
        import ray

        self._order, self._name, self._stage = order, stage.name, ray.put(stage)
        self._actor = ray.remote(num_cpus=1, num_gpus=1)(GpuWorker)
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, ShardSpec]] = {}
        self._losses: Counter[int] = Counter()
        self._failed_starts = 0

    @property
    def in_hand(self) -> int:
        return len(self._busy)

    @property
    def waits_for(self) -> list[Any]:
        return [*self._starting, *self._busy]

    def room(self, left: int) -> int:
        """Actors that wait for a shard; asks the cluster for more of them where more are wanted."""
        held = len(self._starting) + len(self._idle) + len(self._busy)
        wanted = min(left + len(self._busy), AHEAD * max(1, available(self.resource)))
        for _ in range(wanted - held):
            actor = self._actor.remote()
            self._starting[actor.ready.remote()] = actor
        return min(left, len(self._idle))

    def hand_out(self, spec: ShardSpec) -> None:
        actor = self._idle.pop()
        self._busy[actor.make.remote(self._order, self._stage, spec)] = actor, spec

    def take(self, reference: Any) -> tuple[ShardSpec, Made | None] | None:
        if reference in self._starting:
            self._started(reference)
            return None
        import ray

        actor, spec = self._busy.pop(reference)
        try:
            made = _fetch(reference)
        except ray.exceptions.RayError as error:
            self._losses[spec.index] += 1
            if self._losses[spec.index] > RETRIES:
                raise _lost(self._name, spec, error) from error
            return spec, None
        self._idle.append(actor)
        return spec, made

    def _started(self, reference: Any) -> None:
        import ray

        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts > RETRIES:
                raise DsfactoryError(
                    f"{self._name}: no worker can be started on the cluster's GPUs: {error}"
                ) from error
            return
        self._failed_starts = 0
        self._idle.append(actor)

    def close(self) -> None:
        import ray

        for actor in [*self._starting.values(), *self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)
        if self._busy:  # which fail once their actors are gone
            ray.wait(list(self._busy), num_returns=len(self._busy), timeout=CANCEL_S)


def _fetch(reference: Any) -> Made:
    """A shard's report.

    Raises:
        RayError: its worker or node was lost; what making it raised comes as itself.
    """
    import ray

    try:
        made: Made = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    return made


def _lost(stage: str, spec: ShardSpec, error: Exception) -> DsfactoryError:
    return DsfactoryError(
        f"{stage}: shard {spec.name} was lost {RETRIES + 1} times with its worker ({type(error).__name__}): look at "
        "the nodes' memory; finished shards are kept"
    )
