"""Examine a run: its config, its stages, and every finished shard."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.run import CONFIG, MANIFEST, Run, StageState
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage, fingerprint
from dsfactory.dataset.labels import FILTERED
from dsfactory.errors import UserError
from dsfactory.jobs.job import STAGES, run_config
from dsfactory.runner.progress import Progress
from dsfactory.stages.filter.note import read_note
from dsfactory.verify.fixes import verify_fixes
from dsfactory.verify.shards import STAGE_CLASSES, Rows, check_shard
from dsfactory.verify.splice import verify_splices


def verify_run(path: Path, progress: Progress) -> Findings:
    """Read everything that a run has finished.

    May be asked while another process adds to it; a shard that is being replaced (``--redo``) may look broken.
    """
    found = Findings(path, "run")
    run = _open(path, found)
    if run is None:
        return found
    found.faults += _config_faults(run)
    states = _states(run, found)
    progress.begin("verify", run.total * len(states), 0)
    for spec in run.shards():
        _check_spec(run, spec, states, found, progress)
    if FILTERED in states and read_note(run.stage_folder(FILTERED)) is None:
        found.notes.append(
            f"the networks and scores of filter are gone or changed: 'dsfactory filter {path}' makes them again"
        )
    for name in states:
        missing = len(run.shards()) - len(run.finished(name))
        if missing:
            found.notes.append(f"{missing} shards of {name} are not finished yet: 'dsfactory {name}' goes on")
    order = {name: place for place, name in enumerate(STAGES)}
    found.faults.sort(key=lambda fault: (order.get(fault.stage, -1), -1 if fault.shard is None else fault.shard))
    verify_splices(run, found, progress)
    verify_fixes(run, found)
    if any(fault.stage for fault in found.faults):
        found.advice = f"'dsfactory verify {path} --repair' makes the broken shards again"
    return found


def _open(path: Path, found: Findings) -> Run | None:
    try:
        return Run.open(path)
    except UserError as error:
        found.faults.append(Fault(MANIFEST, str(error)))
        return None


def _config_faults(run: Run) -> list[Fault]:
    try:
        config = run_config(run.path)
    except UserError as error:
        return [Fault(CONFIG, str(error))]
    if (config.classes, config.seed) != (run.manifest.classes, run.manifest.seed):
        return [Fault(CONFIG, f"names other classes or another seed than {MANIFEST}")]
    return []


def _states(run: Run, found: Findings) -> dict[str, StageState]:
    """What each begun stage was made with, in order; what is wrong with it goes to ``found``."""
    states: dict[str, StageState] = {}
    for name in STAGES:
        place = f"{name}/stage.json"
        try:
            state = run.stage_state(name)
        except UserError as error:
            found.faults.append(Fault(place, str(error), name))
            continue
        if state is not None:
            found.faults += [Fault(place, text, name) for text in _state_faults(name, state, states)]
            if state.version == STAGE_CLASSES[name].version:
                states[name] = state
            else:
                found.notes.append(f"{name} was made by version {state.version} of its algorithm and is not examined")
        elif run.finished(name):
            found.faults.append(Fault(place, "is missing, though there are shards", name))
    return states


def _state_faults(name: str, state: StageState, states: dict[str, StageState]) -> list[str]:
    recorded = cast(Stage, SimpleNamespace(name=state.stage, version=state.version))
    if state.stage != name or fingerprint(recorded, state.identity, state.upstream) != state.fingerprint:
        return ["its fingerprint does not fit its settings"]
    before = STAGE_CLASSES[name].upstream
    if before in states and states[before].fingerprint != state.upstream:
        return [f"its {before} was made again with other settings since: 'dsfactory {name} --redo' follows"]
    return []


def _check_spec(run: Run, spec: ShardSpec, states: dict[str, StageState], found: Findings, progress: Progress) -> None:
    """Examine one shard in every stage that has it."""
    there = [name for name in states if (run.stage_folder(name) / spec.table).exists()]
    rows: Rows | None = None
    for name, state in states.items():
        if name not in there:
            if there and list(states).index(name) < list(states).index(there[-1]):
                text = f"is missing, though {there[-1]} was made of it"
                found.faults.append(Fault(f"{name}/{spec.table}", text, name, spec.index))
            rows = None
            continue
        faults, rows = check_shard(run, state, spec, rows)
        found.faults += faults
        found.checked[f"{name} shards"] += 1
        for _ in range(len(spec)):
            progress.advance()
