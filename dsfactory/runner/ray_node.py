"""What runs on the nodes of a Ray cluster: one job at a time, by the stage that the process has loaded."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dsfactory.core.chain import Step
from dsfactory.core.run import Run, is_run
from dsfactory.core.shard import ShardSpec
from dsfactory.errors import DamagedShard, UserError
from dsfactory.runner.log import forward_events, versions
from dsfactory.runner.making import Job, Maker
from dsfactory.runner.summary import outcomes
from dsfactory.storage.disk import KEPT, disk_errors
from dsfactory.storage.names import MANIFEST
from dsfactory.storage.remote import shown


@dataclass(frozen=True)
class Order:
    """What all jobs of a step have in common.

    Attributes:
        place: the run's directory, which all nodes see under this path; or its URL in a bucket.
        run: the run, or the space, in which the shards stand.
        step: the stage, not loaded, with what it reads.
        mark: the fingerprint under which the driver's stage works; empty where there are only parts of artifacts.
        versions: those of the driver, as :func:`comparable_versions` gives them.
    """

    place: str
    run: Run
    step: Step
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


_makers: dict[str, Maker] = {}
"""The step whose stage this process has loaded, by fingerprint: at most one."""


def make(order: Order, job: Job) -> Made:
    """Make one job on whichever node this is.

    Raises:
        UserError: the node does not see the run, or has another version of what makes it.
    """
    made = Made()
    where = {"node": platform.node(), "worker": os.getpid()}
    with (
        _errors_named(order.place),
        _opened(order, job) as run,
        forward_events(lambda event, facts: made.events.append((event, where | facts))),
    ):
        maker = _makers.pop(order.mark, None) or _maker(order, run)
        _makers.clear()
        try:
            made.outcomes = outcomes(maker.make(run, job, lambda: None, lambda name, done, total: None))
        except DamagedShard as error:
            made.damaged = shown(str(error))
        if order.mark:
            _makers[order.mark] = maker  # unless it failed, and its stage may be half loaded
    return made


@contextmanager
def _opened(order: Order, job: Job) -> Iterator[Run]:
    """The run as this node sees it: of one in a bucket, what the shard is made of, and first what the stage needs."""
    with ExitStack() as stack:
        if _in_bucket(order.place):
            from dsfactory.storage.mirror import open_part

            assert isinstance(job, ShardSpec), "parts of artifacts need a path that all nodes share"
            stage = order.step.stage
            names = [MANIFEST, *(f"{item.kind.folder}/{name}" for item in order.step.inputs for name in job.files)]
            if order.mark not in _makers:
                names += [f"{stage.folder}/{name}" for name in stage.needed]
            path = stack.enter_context(open_part(order.place, names))
            (path / stage.folder).mkdir(exist_ok=True)
        else:
            path = Path(order.place)
        if not is_run(path):
            raise UserError(
                f"{order.place} is not seen there: --out has to be on storage that all nodes share, or in a bucket"
            )
        run = copy(order.run)
        run.path = path
        yield run


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


def _maker(order: Order, run: Run) -> Maker:
    _check_versions(order.versions)
    step = replace(order.step, stage=order.step.stage.in_run(run.path))
    if order.mark and step.mark != order.mark:
        raise UserError("another version of dsfactory or of the model is there: install the same on all nodes")
    return Maker(step)


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
    from dsfactory.models.devices import auto_dtype

    return auto_dtype(device)


class GpuWorker:
    """An actor: it holds a GPU and the model that it has loaded, and makes shard after shard."""

    def ready(self) -> None:
        """Answers once the actor has its GPU."""

    def make(self, order: Order, job: Job) -> Made:
        return make(order, job)
