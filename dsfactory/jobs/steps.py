"""The stages of a command in a run: what serves each, what is checked before it works, and how it begins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dsfactory.core.chain import Input, Step, check_step, lacking, offers, serving
from dsfactory.core.config import check_num
from dsfactory.core.registry import names_in_words
from dsfactory.core.run import Run, StageState
from dsfactory.core.space import space_of
from dsfactory.core.stage import Kind, Machines, Role, Stage
from dsfactory.errors import UserError
from dsfactory.stages import STAGES, RunConfig

Note = Callable[[str], None]


@dataclass(frozen=True)
class Planned:
    """A stage of a command before anything is done.

    Attributes:
        step: the stage with what will serve it.
        space: where its samples are numbered; None when the run is not there yet.
        certain: what it reads is there as it will be, so that its content can be looked at.
        redo: what is there is made again.
        notes: what a person should read before it begins.
    """

    step: Step
    space: Run | None
    certain: bool
    redo: bool
    notes: tuple[str, ...]

    @property
    def stage(self) -> Stage:
        return self.step.stage


def check_packages(kinds: Sequence[type[Stage]]) -> None:
    """Make sure that what the stages import is installed.

    Raises:
        UserError: a package is missing; names the extra that brings it.
    """
    for kind in kinds:
        missing = [name for name in kind.requires if find_spec(name) is None]
        if missing:
            extra = kind.requires[missing[0]]
            raise UserError(f"{kind.name} needs {names_in_words(missing)}: pip install 'dsfactory[{extra}]'")


def plan_steps(
    kinds: Sequence[type[Stage]], config: RunConfig, out: Path, run: Run | None, redo: bool, machines: Machines
) -> list[Planned]:
    """Stages in order, each checked as far as can be told before the ones before it are made. Writes nothing.

    Args:
        kinds: the stages.
        config: the run's settings.
        out: the run's folder.
        run: the run; None when it is not there yet.
        redo: what the stages have made is made again.
        machines: where they will be made.

    Raises:
        UserError: the first that is wrong.
    """
    check_packages(kinds)
    planned: list[Planned] = []
    for kind in kinds:
        before = _before(run, kind, planned)
        needed = lacking(kind, before, STAGES)
        if needed is not None and not any(item.stage.folder == needed.folder for item in planned):
            raise _lacks(out, kind, needed, before)
        state = _own_state(run, kind)
        stage = kind.build(config, out).settled(None if redo else state, machines)
        step = Step(stage, serving(kind, before))
        space = space_of(run, kind) if run is not None else None
        earlier = [item for item in planned if any(one.kind.folder == item.stage.folder for one in step.serving)]
        certain = run is not None and all(_is_finished(item) for item in earlier)
        # What follows from artifacts of an earlier stage that are still to be made cannot be compared yet.
        if space is not None and not any(item.stage.varying and not item.certain for item in earlier):
            check_step(space, step, redo, settings_only=True)
        notes = stage.check(space if certain else None, redo)
        planned.append(Planned(step, space, certain, redo, tuple(notes)))
    return planned


def _lacks(out: Path, kind: type[Stage], needed: type[Stage], before: Sequence[Input]) -> UserError:
    """What to say of a stage that cannot begin before another one."""
    source = next((item.kind for item in before if Role.LABEL in item.kind.writes.roles), None)
    if source is not None and source.kind is Kind.SOURCE:
        return UserError(f"{out}: what {source.name} brought has its labels and no attention maps to {kind.name}")
    what = "has no masks" if Role.LABEL in needed.writes.roles else f"has nothing to {kind.name}"
    place = f"--out {out}" if STAGES.facts(needed.name).begins else str(out)
    return UserError(f"{out} {what} yet: run 'dsfactory {needed.name} {place}' first")


def _before(run: Run | None, kind: type[Stage], planned: Sequence[Planned]) -> list[Input]:
    """What a stage may be served by: what the run has, and what this command makes before it."""
    made = [item.step.as_input() for item in planned if not item.stage.own_space]
    ours = {item.kind.folder for item in made}
    there = offers(run, STAGES.begun(run, before=kind)) if run is not None else []
    order = STAGES.folders.index
    both = [*(item for item in there if item.kind.folder not in ours), *made]
    return sorted(both, key=lambda item: order(item.kind.folder))


def _own_state(run: Run | None, kind: type[Stage]) -> StageState | None:
    """What a stage was begun with in a run.

    Raises:
        UserError: another stage has made what stands in its place.
    """
    state = run.stage_state(kind.folder) if run is not None else None
    if run is not None and state is None and kind.kind is Kind.SOURCE and not kind.own_space:
        there = (item.kind for item in STAGES.begun(run) if item.kind.kind is Kind.SOURCE and not item.kind.own_space)
        other = next((one for one in there if {*one.writes.roles} & {*kind.writes.roles}), None)
        if other is not None and run.has_finished(other.folder):
            raise _others(run, kind, other)
    if run is not None and state is not None and not kind.made(state):
        raise _others(run, kind, STAGES.in_folder(run, kind.folder))
    return state


def _others(run: Run, kind: type[Stage], other: type[Stage] | None) -> UserError:
    return UserError(
        f"{run.path} holds images that {other.name if other else 'another stage'} made: name another --out for "
        f"those of {kind.name}"
    )


def _is_finished(item: Planned) -> bool:
    """Whether a stage of this command has nothing left to do, so that those after it can look at what it made."""
    if item.redo or item.space is None or not item.certain:
        return False
    wanted = sum(item.stage.wanted(item.space).values())
    there = len(item.space.finished(item.stage.folder))
    return 0 < there == len(item.space.shards()) and item.space.total >= wanted


def settled_step(kind: type[Stage], config: RunConfig, run: Run, redo: bool, machines: Machines) -> Step:
    """A stage of a run as it works now: what it reads is there, at least in part.

    Raises:
        UserError: nothing is there that it could read.
    """
    before = offers(run, STAGES.begun(run, before=kind))
    needed = lacking(kind, before, STAGES)
    if needed is not None:
        raise _lacks(run.path, kind, needed, before)
    state = None if redo else _own_state(run, kind)
    return Step(kind.build(config, run.path).settled(state, machines), serving(kind, before))


def appended(run: Run, config: RunConfig, append: int, source: str, note: Note) -> RunConfig:
    """The settings with a larger target: this many more images per class than the run is to have.

    A run that was stopped on its way to its target is to reach that first, so that the same command, given
    night after night, goes on and does not pile up.

    Args:
        run: the run.
        config: its settings.
        append: images per class.
        source: folder of the stage that makes the images.
        note: told when the run is not finished yet.
    """
    more = append
    if len(run.finished(source)) < len(run.shards()):
        note(f"{source}: {run.path} is not finished yet, its {run.total} samples come before any are added")
        more = 0
    counts = {name: count + more for name, count in run.manifest.numbering.counts().items()}
    equal = len({*counts.values()}) == 1
    return config.model_copy(update={"num": check_num(min(counts.values()) if equal else counts)})
