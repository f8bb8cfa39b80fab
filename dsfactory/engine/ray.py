"""Run a stage on a Ray cluster: a task per shard, the run on a path that all nodes share.

Ray starts a task again when its worker or its node is lost. Shards appear atomically and do not depend on who makes
them, so a shard that two nodes make is the same shard.
"""

import logging
import os
import platform
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsfactory.core.atomic import remove_leftovers
from dsfactory.core.errors import DamagedShard, DsfactoryError, UserError
from dsfactory.core.run import Run, is_run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage, fingerprint
from dsfactory.engine.limits import Limits
from dsfactory.engine.local import StageSummary, claim_stage, make_shard, split_waiting, survey
from dsfactory.engine.log import forward_events, log_event
from dsfactory.engine.progress import Progress

RETRIES = 5
"""How often Ray starts a shard again whose worker or node was lost."""

AHEAD = 2
"""Tasks in hand per slot: the second waits its turn, and tells an autoscaler that more nodes would be used."""

CANCEL_S = 10.0
"""How long tasks that are called off may take to end."""


@dataclass
class _Made:
    """What a task reports: the rows' outcomes, or why the shard is left out, and what it would have logged."""

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    damaged: str = ""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


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

    def followers(self, drawing: Stage, following: Stage) -> Sequence[Stage]:
        return ()

    def run_stage(self, run: Run, stage: Stage, progress: Progress, redo: bool, limits: Limits) -> StageSummary:
        mark = claim_stage(run, stage, redo)
        summary, pending = survey(run, stage, mark, progress)
        summary.waiting, pending = split_waiting(run, stage, pending)
        progress.begin(stage.name, run.total - summary.waiting, summary.samples)
        if pending:
            self._connect()
            try:
                _make_all(run, stage, mark, pending, summary, progress, limits)
            finally:
                remove_leftovers(run.stage_folder(stage.name))
        return summary

    def _connect(self) -> None:
        """Join the cluster, once per process; Ray leaves it when the process ends.

        Raises:
            UserError: there is none at the address.
        """
        import ray

        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            ray.init(self._address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"no Ray cluster at {self._address or os.environ.get('RAY_ADDRESS', 'this machine')}: "
                "see 'ray status' there, or leave out --address to use this machine"
            ) from error
        for number, handler in handlers.items():  # Ray brings its own, which end the process at once
            signal.signal(number, handler)


def _make_all(
    run: Run,
    stage: Stage,
    mark: str,
    pending: list[ShardSpec],
    summary: StageSummary,
    progress: Progress,
    limits: Limits,
) -> None:
    """Make shards on the cluster until all are there or a limit is reached.

    Raises:
        DsfactoryError: what a task raised, or its worker was lost time after time.
    """
    import ray

    gpus = _gpus(stage)
    # A fresh stage: every node finds the model by itself, and its weights are compared.
    task = ray.put(stage.on_device(stage.device) if stage.device is not None else stage)
    make = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_make)
    path = str(run.path.absolute())
    waiting, begun = deque(pending), 0
    in_hand: dict[Any, ShardSpec] = {}
    try:
        while True:
            while waiting and summary.stopped is None and len(in_hand) < AHEAD * _slots(gpus):
                summary.stopped = limits.reached(run.path, run.stage_folder(stage.name), begun, len(in_hand))
                if summary.stopped is None:
                    spec = waiting.popleft()
                    in_hand[make.remote(path, task, mark, spec)] = spec
                    begun += 1
            if not in_hand:
                return
            done, _ = ray.wait(list(in_hand), timeout=1.0)
            for reference in done:
                spec = in_hand.pop(reference)
                _report(_result(reference, stage.name, spec), stage.name, spec, summary, progress)
    finally:
        _call_off(list(in_hand))


def _gpus(stage: Stage) -> int:
    """GPUs per task: one for a stage that wants CUDA, or takes what it finds on a cluster that has GPUs now."""
    import ray

    if stage.device is None or stage.device == "cpu":
        return 0
    return 1 if stage.device != "auto" or ray.cluster_resources().get("GPU", 0) >= 1 else 0


def _slots(gpus: int) -> int:
    """How many tasks the cluster can run at once at this moment."""
    import ray

    return max(1, int(ray.cluster_resources().get("GPU" if gpus else "CPU", 0)))


def _result(reference: Any, stage: str, spec: ShardSpec) -> _Made:
    import ray

    try:
        made: _Made = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise DsfactoryError(
            f"{stage}: shard {spec.name} was lost {RETRIES + 1} times with its worker ({type(error).__name__}): look "
            "at the nodes' memory; finished shards are kept"
        ) from error
    return made


def _report(made: _Made, stage: str, spec: ShardSpec, summary: StageSummary, progress: Progress) -> None:
    for event, facts in made.events:
        log_event(event, **facts)
    if made.damaged:
        summary.damaged.append(made.damaged)
        log_event("damaged", stage=stage, shard=spec.index, reason=made.damaged)
        progress.note(f"{stage}: shard {spec.name} is left out: {made.damaged}")
        return
    summary.count(made.outcomes)
    summary.made += len(spec)
    progress.advance(stage, len(spec))


def _call_off(references: list[Any]) -> None:
    import ray

    for reference in references:
        ray.cancel(reference, force=True)
    if references:
        ray.wait(references, num_returns=len(references), timeout=CANCEL_S)


_prepared: dict[str, Stage] = {}
"""The stage that this worker process has loaded, by fingerprint: at most one."""


def _make(path: str, stage: Stage, mark: str, spec: ShardSpec) -> _Made:
    """A task: make one shard on whichever node this is."""
    made = _Made()
    node = platform.node()
    run_path = Path(path)
    if not is_run(run_path):
        raise UserError(f"node {node} does not see {path}: --out has to be on storage that all nodes share")
    run = Run.open(run_path)
    if mark not in _prepared:
        state = run.stage_state(stage.name)
        if state is None or fingerprint(stage, stage.identity(), state.upstream) != mark:
            raise UserError(f"node {node} has another version of dsfactory or of the model: install the same on all")
        _prepared.clear()
        stage.prepare()
        _prepared[mark] = stage
    with forward_events(lambda event, facts: made.events.append((event, {"node": node, **facts}))):
        try:
            rows = make_shard(run, _prepared[mark], spec, mark, _nothing)
        except DamagedShard as error:
            made.damaged = str(error)
            return made
    made.outcomes = [{name: row[name] for name in ("status", "reason") if name in row} for row in rows]
    return made


def _nothing() -> None:
    pass
