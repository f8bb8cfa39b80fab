"""Write a broken ``stage.json`` again, as the shards beside it say that it was."""

from collections.abc import Collection, Sequence

from dsfactory.core.chain import Step, offers, serving
from dsfactory.core.findings import Findings
from dsfactory.core.registry import Begun
from dsfactory.core.run import Run, StageState
from dsfactory.core.space import space_of
from dsfactory.core.stage import Machines
from dsfactory.errors import DamagedShard, UserError
from dsfactory.stages import STAGES, RunConfig
from dsfactory.verify.states import begun_stages, kinds_in


def restore_states(run: Run, config: RunConfig, broken: Collection[str], machines: Machines) -> None:
    """Write the states of stages again. A stage that has lost what its shards are made with is left alone.

    Args:
        run: the run; the caller holds its lock.
        config: its saved settings.
        broken: folders of the stages.
        machines: where they would be made.

    Raises:
        UserError: the shards were made with other settings; nothing was written.
    """
    there = {item.kind.folder: item for item in begun_stages(run, Findings(run.path, "run"))}
    known: list[Begun] = []
    restored: list[Step] = []
    for folder in STAGES.folders:
        if folder in broken:
            step = _restored(run, config, folder, known, machines)
            if step is None:
                continue
            restored.append(step)
            known.append(Begun(type(step.stage), step.state()))
        elif folder in there:
            known.append(there[folder])
    for step in restored:
        run.begin_stage(step.state())


def _restored(run: Run, config: RunConfig, folder: str, before: Sequence[Begun], machines: Machines) -> Step | None:
    """The stage that made a folder's shards; None when it has lost what they are made with."""
    inputs = offers(run, before)
    mark = _made_under(run, folder)
    for kind in kinds_in(folder):
        if bool(kind.reads) != bool(inputs):
            continue  # what reads nothing stands first, and nothing else does
        if kind.lost(run.stage_folder(folder)):
            return None
        older = StageState(stage=folder, version=kind.version, fingerprint="", upstream="", identity={})
        for state in (None, older):  # rules of today, and those of runs that were begun before there was a choice
            step = Step(kind.build(config, run.path).settled(state, machines), serving(kind, inputs))
            if mark in (step.mark, None):
                return step
    raise UserError(
        f"{run.path}: {folder} was not made with the settings of its config: run 'dsfactory {folder} --redo' to make "
        "it again"
    )


def _made_under(run: Run, folder: str) -> str | None:
    """The fingerprint of the shards in a folder; None when there is none that tells."""
    space = space_of(run, kinds_in(folder)[0])
    for spec in space.finished(folder):
        try:
            return space.reader(folder, spec).mark.fingerprint
        except DamagedShard:
            continue
    return None
