"""Make the broken shards of a run again, and what was made of them."""

import fnmatch
from collections.abc import Collection, Sequence
from pathlib import Path

from dsfactory.core.chain import Step, check_step
from dsfactory.core.findings import Fault, Findings
from dsfactory.core.lineage import Member
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Machines
from dsfactory.jobs.job import EngineMachines
from dsfactory.jobs.settings import run_config
from dsfactory.runner.executors import IN_PROCESS
from dsfactory.runner.limits import UNLIMITED
from dsfactory.runner.log import log_event, run_log
from dsfactory.runner.progress import Progress
from dsfactory.stages import STAGES, RunConfig
from dsfactory.storage.disk import KEPT, disk_errors
from dsfactory.verify.restore import restore_states
from dsfactory.verify.run import verify_run
from dsfactory.verify.states import examine_states, spaces_of

Place = tuple[str, ShardSpec]
"""A stage's folder and one of its shards."""


def repair_run(path: Path, progress: Progress) -> Findings:
    """Examine a run, make exactly its broken shards again from its saved config, and examine it once more.

    Stages are pure functions, so what is made again equals what was there before the damage. Where that shows a
    later shard to be made of something else, the later one is made again too. What stands in the run's own sample
    space comes first: samples of other spaces are made of it.

    Raises:
        UserError: the settings, the model or the corpus are not those with which the run was made; nothing
            was removed.
        RunLocked: another process works on the run.
    """
    run = Run.open(path)
    with disk_errors(path, KEPT), run.lock(), run_log(path, "repair") as ended:
        repair = _Repair(run.reopened(), progress)
        repair.space([kind.folder for kind in STAGES if not kind.own_space])
        for kind in STAGES:
            if kind.own_space:
                repair.space([kind.folder])
        found = repair.found
        found.repaired = [f"{folder}/{spec.name}" for folder, spec in repair.made]
        ended |= {"exit_code": found.exit_code, "repaired": found.repaired}
    return found


class _Repair:
    """A repair on its way.

    Attributes:
        found: what is wrong now.
        made: shards that were made again.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run, self._progress = run, progress
        self._machines = EngineMachines(IN_PROCESS, progress)
        self.made: list[Place] = []
        self._look()

    def _look(self) -> None:
        self.found = verify_run(self._run.path, self._progress)

    def space(self, folders: Collection[str]) -> None:
        """Make the broken shards of the stages of one sample space again."""
        faults = [fault for fault in self.found.faults if fault.stage in folders]
        if not faults:
            return
        config = run_config(self._run.path)
        if broken := {fault.stage for fault in faults if fault.shard is None}:
            restore_states(self._run, config, broken, self._machines)
            self._look()
        space, group = self._group(folders)
        steps: list[Step] | None = None
        # Each round may bring to light that the next stage's shard was made of something else.
        while places := [place for place in _broken(space, group, self.found.faults) if place not in self.made]:
            if steps is None:
                steps = _steps(space, config, group, {folder for folder, _ in places}, self._machines)
            names = {step.stage.folder for step in steps}
            places = [place for place in places if place[0] in names]
            if not places:
                break
            self._remake(space, steps, places)
            self.made += places
            self._look()

    def _group(self, folders: Collection[str]) -> tuple[Run, list[Member]]:
        ignored = Findings(self._run.path, "run")
        spaces = spaces_of(self._run, examine_states(self._run, ignored), ignored)
        return next(
            ((space, group) for space, group in spaces if any(member.folder in folders for member in group)),
            (self._run, []),
        )

    def _remake(self, space: Run, steps: Sequence[Step], places: Sequence[Place]) -> None:
        """Delete shards, row tables (the done-marks) and later stages first, and run their stages."""
        for folder, spec in reversed(places):
            log_event("damaged", stage=folder, shard=spec.index, reason="made again by verify --repair")
            for name in reversed(spec.files):
                (space.stage_folder(folder) / name).unlink(missing_ok=True)
        broken = {folder for folder, _ in places}
        for step in steps:
            if step.stage.folder in broken:
                _forget_artifacts(space, step)
                IN_PROCESS.run(space, [step], self._progress, UNLIMITED)


def _forget_artifacts(space: Run, step: Step) -> None:
    """Delete artifacts that nothing vouches for: those that no other process needs are made with the shards again."""
    folder, kind = space.stage_folder(step.stage.folder), type(step.stage)
    for path in folder.iterdir():
        made, needed = (any(fnmatch.fnmatch(path.name, one) for one in some) for some in (kind.artifacts, kind.needed))
        if made and not needed:
            path.unlink()


def _steps(
    space: Run, config: RunConfig, group: Sequence[Member], broken: Collection[str], machines: Machines
) -> list[Step]:
    """The broken stages and those that read what they make, as the saved config wants them.

    Left out are those that have lost what their shards are made with: to make that again is left to their commands.

    Raises:
        UserError: the config is not what the shards were made with.
    """
    wanted = set(broken)
    steps: list[Step] = []
    for member in group:
        if member.folder not in wanted and wanted.isdisjoint(member.inputs):
            continue
        wanted.add(member.folder)
        if not member.kind.lost(space.stage_folder(member.folder)):
            step = Step(member.kind.build(config, space.path).settled(member.state, machines), member.serving)
            check_step(space, step)
            steps.append(step)
    return steps


def _broken(space: Run, group: Sequence[Member], faults: Sequence[Fault]) -> list[Place]:
    """The shards to be made again, in the order of the pipeline.

    A stage's rows return in the rows of those that read it, where a difference shows by itself; its files do not, so
    what was made of a broken shard with files counts as broken.
    """
    broken = {(fault.stage, fault.shard) for fault in faults if fault.shard is not None}
    places: list[tuple[int, Place]] = []
    for spec in space.shards():
        doubtful: set[str] = set()
        for number, member in enumerate(group):
            there = (space.stage_folder(member.folder) / spec.table).exists()
            if (member.folder, spec.index) in broken or (there and not doubtful.isdisjoint(member.inputs)):
                places.append((number, (member.folder, spec)))
                if member.kind.writes.files or any(space.stage_folder(member.folder).glob("*.tar")):
                    doubtful.add(member.folder)
    return [place for _, place in sorted(places, key=lambda item: item[0])]
