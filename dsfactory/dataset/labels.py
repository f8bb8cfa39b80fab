"""Which stage's labels count, and whether they belong to the images that there are."""

from collections.abc import Collection, Sequence

from dsfactory.core.chain import Input, offers
from dsfactory.core.registry import Begun
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Kind, Role
from dsfactory.errors import UserError


def images_and_labels(run: Run, begun: Sequence[Begun], without: Collection[str] = ()) -> tuple[Input, Input]:
    """The stages that made a run's images and its labels: the last ones that write these roles.

    Args:
        run: the run.
        begun: its stages.
        without: names of stages that do not count.

    Raises:
        UserError: there are no labels, or something was made again or added since; says which command follows.
    """
    made = [item for item in offers(run, begun) if item.kind.name not in without]
    images = next((item for item in reversed(made) if Role.IMAGE in item.kind.writes.roles), None)
    labels = next((item for item in reversed(made) if Role.LABEL in item.kind.writes.roles), None)
    if images is None or labels is None:
        raise UserError(f"{run.path} has no masks yet: run 'dsfactory refine {run.path}' first")
    check_labels(run, images, labels)
    _check_judged(run, made, labels)
    return images, labels


def check_labels(run: Run, images: Input, labels: Input) -> None:
    """Make sure that a run's labels belong to its images.

    Raises:
        UserError: something was made again since.
    """
    if images.mark not in labels.lineage and images != labels:
        raise UserError(
            f"{run.path}: what {labels.kind.name} read was made again since: run 'dsfactory {labels.kind.name} "
            f"{run.path} --redo' first"
        )


def _check_judged(run: Run, made: Sequence[Input], labels: Input) -> None:
    """Make sure that a judge has seen all that there is: half of its verdicts would be half of a dataset."""
    if labels.kind.kind is not Kind.JUDGE:
        return
    state = run.stage_state(labels.kind.folder)
    assert state is not None
    read = [item for item in made if item.mark in state.upstream.split(",")]
    if not read:
        raise UserError(
            f"{run.path}: what {labels.kind.name} judged was made again since: run 'dsfactory {labels.kind.name} "
            f"{run.path} --redo' first"
        )
    judged, there = len(run.finished(labels.kind.folder)), len(run.finished(read[-1].kind.folder))
    if judged < there:
        raise UserError(
            f"{run.path}: {labels.kind.name} has judged {judged} of {there} shards: run 'dsfactory "
            f"{labels.kind.name} {run.path}' first"
        )


def finished_shards(run: Run, folder: str) -> list[ShardSpec]:
    """Shards that a stage has finished under its present settings: what a reader may see while others are written.

    A shard that was made with other settings, about to be replaced, is none. A damaged one is one: reading it says so.
    """
    state = run.stage_state(folder)
    if state is None:
        return []
    return [spec for spec in run.finished(folder) if run.may_be_read(folder, spec, state.fingerprint)]
