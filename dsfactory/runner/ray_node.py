"""What runs on the nodes of a Ray cluster: one shard at a time, by the stage that the process has loaded."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsfactory.core.run import MANIFEST, STATE, Run, is_run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage, fingerprint
from dsfactory.errors import DamagedShard, UserError
from dsfactory.runner.log import forward_events, versions
from dsfactory.runner.scheduler import make_shard
from dsfactory.storage.disk import KEPT, disk_errors
from dsfactory.storage.remote import shown


@dataclass(frozen=True)
class Order:
    """What all shards of a stage have in common.

    Attributes:
        run: the run's directory, which all nodes see under this path; or, as ``s3://bucket/a``, its place in a bucket.
        mark: the fingerprint under which the stage works.
        versions: those of the driver, as :func:`comparable_versions` gives them.
    """

    run: str
    mark: str
    versions: dict[str, str]


@dataclass
class Made:
    """What a node reports: the rows' outcomes, or why the shard is left out, and what it would have logged."""

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    damaged: str = ""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def comparable_versions() -> dict[str, str]:
    """Versions that have to be the same on all nodes; builds for another device (``+cu126``) are the same version."""
    return {name: version.partition("+")[0] for name, version in versions().items() if name != "python"}


_prepared: dict[str, Stage] = {}
"""The stage that this process has loaded, by fingerprint: at most one."""


def make(order: Order, stage: Stage, spec: ShardSpec) -> Made:
    """Make one shard on whichever node this is.

    Raises:
        UserError: the node does not see the run, or has another version of what makes it.
    """
    with _errors_named(order.run):
        return _make(order, stage, spec)


def _make(order: Order, stage: Stage, spec: ShardSpec) -> Made:
    made = Made()
    where = {"node": platform.node(), "worker": os.getpid()}
    with (
        _opened(order, stage, spec) as run,
        forward_events(lambda event, facts: made.events.append((event, where | facts))),
    ):
        if order.mark not in _prepared:
            _prepare(order, stage.in_run(run.path), run)
        try:
            rows = make_shard(run, _prepared[order.mark], spec, order.mark, _nothing)
        except DamagedShard as error:
            made.damaged = shown(str(error))
            return made
    made.outcomes = [{name: row[name] for name in ("status", "reason") if name in row} for row in rows]
    return made


@contextmanager
def _opened(order: Order, stage: Stage, spec: ShardSpec) -> Iterator[Run]:
    """The run as this node sees it: of one in a bucket, what the shard is made of, and first what the stage needs."""
    with ExitStack() as stack:
        if _in_bucket(order.run):
            from dsfactory.storage.mirror import open_part

            names = [MANIFEST, *(f"{stage.upstream}/{name}" for name in spec.files if stage.upstream is not None)]
            if order.mark not in _prepared:
                names += [f"{stage.name}/{name}" for name in (STATE, *stage.needed)]
            path = stack.enter_context(open_part(order.run, names))
            (path / stage.name).mkdir(exist_ok=True)
        else:
            path = Path(order.run)
        if not is_run(path):
            raise UserError(
                f"{order.run} is not seen there: --out has to be on storage that all nodes share, or in a bucket"
            )
        yield Run.open(path)


def _in_bucket(place: str) -> bool:
    return "://" in place


@contextmanager
def _errors_named(place: str) -> Iterator[None]:
    """What goes wrong names this node; a disk that is full, the one that is."""
    disk = Path(tempfile.gettempdir() if _in_bucket(place) else place)
    try:
        with disk_errors(disk, KEPT):
            yield
    except UserError as error:
        raise UserError(f"node {platform.node()}: {shown(str(error))}") from error


def _prepare(order: Order, stage: Stage, run: Run) -> None:
    _check_versions(order.versions)
    state = run.stage_state(stage.name)
    if state is None or fingerprint(stage, stage.identity(), state.upstream) != order.mark:
        raise UserError("another version of dsfactory or of the model is there: install the same on all nodes")
    _prepared.clear()
    stage.prepare()
    _prepared[order.mark] = stage


def _check_versions(wanted: dict[str, str]) -> None:
    here = comparable_versions()
    for name, version in wanted.items():
        if here[name] != version:
            raise UserError(
                f"{name} is {here[name]} there, and {version} on the machine that started the command: install the "
                "same on all, with -c constraints.txt"
            )


def dtype_here(device: str) -> str:
    """The number format that ``auto`` stands for on this node, by its short name."""
    from dsfactory.models.loading import auto_dtype

    return auto_dtype(device)


class GpuWorker:
    """An actor: it holds a GPU and the model that it has loaded, and makes shard after shard."""

    def ready(self) -> None:
        """Answers once the actor has its GPU."""

    def make(self, order: Order, stage: Stage, spec: ShardSpec) -> Made:
        return make(order, stage, spec)


def _nothing() -> None:
    pass
