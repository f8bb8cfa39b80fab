"""Examine a run: its config, its stages, and every finished shard."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.lineage import Member
from dsfactory.core.run import CONFIG, Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.words import counted
from dsfactory.errors import UserError
from dsfactory.runner.progress import Progress
from dsfactory.stages import STAGES, RunConfig
from dsfactory.storage.names import MANIFEST
from dsfactory.verify.corrections import verify_corrections
from dsfactory.verify.shards import Rows, check_shard
from dsfactory.verify.states import examine_states, spaces_of


def verify_run(path: Path, progress: Progress) -> Findings:
    """Read everything that a run has finished.

    May be asked while another process adds to it; a shard that is being replaced (``--redo``) may look broken.
    """
    found = Findings(path, "run")
    try:
        run = Run.open(path)
    except UserError as error:
        found.faults.append(Fault(MANIFEST, str(error)))
        return found
    found.faults += _config_faults(run)
    members = examine_states(run, found)
    spaces = spaces_of(run, members, found)
    finished = (spec for space, group in spaces for member in group for spec in space.finished(member.folder))
    progress.begin("verify", sum(map(len, finished)), 0)
    for space, group in spaces:
        for spec in space.shards():
            _check_spec(space, group, spec, found, progress)
        found.notes += _notes(space, group)
    order = {folder: place for place, folder in enumerate(STAGES.folders)}
    found.faults.sort(key=lambda fault: (order.get(fault.stage, -1), -1 if fault.shard is None else fault.shard))
    verify_corrections(run, found)
    if any(fault.stage for fault in found.faults):
        found.advice = f"'dsfactory verify {path} --repair' makes the broken shards again"
    return found


def _config_faults(run: Run) -> list[Fault]:
    try:
        config = RunConfig.read(run.path / CONFIG)
    except UserError as error:
        return [Fault(CONFIG, str(error))]
    if (config.classes, config.seed) != (run.manifest.classes, run.manifest.seed):
        return [Fault(CONFIG, f"names other classes or another seed than {MANIFEST}")]
    return []


def _notes(space: Run, group: Sequence[Member]) -> Iterator[str]:
    for member in group:
        name = member.kind.name
        if lost := member.kind.lost(space.stage_folder(member.folder)):
            yield f"{lost} are gone or changed: 'dsfactory {name} {space.path}' makes them again"
        missing = len(space.shards()) - len(space.finished(member.folder))
        if missing:
            shards = f"{counted(missing, 'shard')} of {member.folder} {'is' if missing == 1 else 'are'}"
            yield f"{shards} not finished yet: 'dsfactory {name}' goes on"


def _check_spec(space: Run, group: Sequence[Member], spec: ShardSpec, found: Findings, progress: Progress) -> None:
    """Examine one shard in every stage that has it."""
    there = [member for member in group if (space.stage_folder(member.folder) / spec.table).exists()]
    made_of = _made_of(group, there)
    rows: dict[str, Rows] = {}
    for member in group:
        folder = member.folder
        if member in there:
            inputs = [rows[name] for name in member.inputs if name in rows]
            faults, read = check_shard(space, member, spec, inputs)
            rows |= {} if read is None else {folder: read}
            found.faults += faults
            found.checked[f"{folder} shards"] += 1
            progress.advance(samples=len(spec))
        elif folder in made_of:
            text = f"is missing, though {made_of[folder]} was made of it"
            found.faults.append(Fault(f"{folder}/{spec.table}", text, folder, spec.index))


def _made_of(group: Sequence[Member], there: Sequence[Member]) -> dict[str, str]:
    """The folders from which shards that are there were made, and for each what was made of it."""
    found: dict[str, str] = {}
    for member in reversed(group):
        maker = member.folder if member in there else found.get(member.folder)
        if maker is not None:
            for folder in member.inputs:
                found.setdefault(folder, maker)
    return found
