"""Make the broken shards of a run again, and what was made of them."""

from pathlib import Path

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.run import STATE, Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.dataset.labels import FILTERED
from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.job import STAGES, build_stage, open_locked, run_config
from dsfactory.runner.log import log_event, run_log
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import check_stage, claim_stage, run_stage
from dsfactory.stages.filter.note import read_note
from dsfactory.storage.disk import KEPT, disk_errors
from dsfactory.verify.run import verify_run
from dsfactory.verify.shards import FILES
from dsfactory.verify.splice import repair_splices

Place = tuple[str, ShardSpec]
"""A stage's name and one of its shards."""


def repair_run(path: Path, progress: Progress) -> Findings:
    """Examine a run, make exactly its broken shards again from its saved config, and examine it once more.

    Stages are pure functions, so what is made again equals what was there before the damage. Where that shows a
    later shard to be made of something else, the later one is made again too.

    Raises:
        UserError: the settings, the model or the corpus are not those with which the run was made; nothing
            was removed.
        RunLocked: another process works on the run.
    """
    with disk_errors(path, KEPT), open_locked(path) as run, run_log(path, "repair") as ended:
        found = verify_run(path, progress)
        repaired: list[Place] = []
        if any(fault.stage for fault in found.faults):
            stages = _settled_stages(run, found.faults)
            found = verify_run(path, progress)
            # Each round may bring to light that the next stage's shard was made of something else.
            names = {stage.name for stage in stages}
            while fresh := [
                place for place in _broken(run, found.faults) if place not in repaired and place[0] in names
            ]:
                _remake(run, stages, fresh, progress)
                repaired += fresh
                found = verify_run(path, progress)
        spliced = repair_splices(run, found, progress)
        if spliced:
            found = verify_run(path, progress)
        found.repaired = [f"{name}/{spec.name}" for name, spec in repaired] + spliced
        ended |= {"exit_code": found.exit_code, "repaired": found.repaired}
    return found


def _settled_stages(run: Run, faults: list[Fault]) -> list[Stage]:
    """The stages that have begun, as the saved config wants them; each broken ``stage.json`` is written again.

    Raises:
        UserError: the config is not what the shards were made with.
    """
    config = run_config(run.path)
    without_state = {fault.stage for fault in faults if fault.stage and fault.shard is None}
    stages: list[Stage] = []
    upstream = ""
    for name in STAGES:
        if name == "prompts" and config.annotate is not None:
            continue
        if not run.stage_folder(name).is_dir() or (name == FILTERED and not _can_filter(run)):
            break
        stage = build_stage(name, config, run.path, name in without_state)
        upstream = check_stage(run, stage, upstream, redo=name in without_state)
        if name in without_state and not _was_made_with(run, name, upstream):
            raise UserError(
                f"{run.path}: {name} was not made with the settings of its config: "
                f"run 'dsfactory {name} --redo' to make it again"
            )
        stages.append(stage)
    for stage in stages:
        if stage.name in without_state:
            (run.stage_folder(stage.name) / STATE).unlink(missing_ok=True)
            claim_stage(run, stage)
    return stages


def _can_filter(run: Run) -> bool:
    """Whether filter has begun and its networks are there: training them is left to ``dsfactory filter``."""
    folder = run.stage_folder(FILTERED)
    return (bool(run.finished(FILTERED)) or (folder / STATE).exists()) and read_note(folder) is not None


def _was_made_with(run: Run, stage: str, fingerprint: str) -> bool:
    for spec in run.finished(stage):
        try:
            return run.is_done(stage, spec, fingerprint)
        except DamagedShard:
            continue
    return True


def _broken(run: Run, faults: list[Fault]) -> list[Place]:
    """The shards to be made again, in the order of the pipeline.

    A stage's rows return in the rows of the next, where a difference shows by itself; its files do not, so what was
    made of a broken shard with files counts as broken.
    """
    broken = {(fault.stage, fault.shard) for fault in faults if fault.shard is not None}
    places: list[Place] = []
    for spec in run.shards():
        doubtful = False
        for name in STAGES:
            there = (run.stage_folder(name) / spec.table).exists()
            if (name, spec.index) in broken or (doubtful and there):
                places.append((name, spec))
                doubtful = bool(FILES[name])
    return sorted(places, key=lambda place: STAGES.index(place[0]))


def _remake(run: Run, stages: list[Stage], places: list[Place], progress: Progress) -> None:
    """Delete shards, row tables (the done-marks) and later stages first, and run their stages."""
    for name, spec in reversed(places):
        log_event("damaged", stage=name, shard=spec.index, reason="made again by verify --repair")
        for extension in ("parquet", "tar"):
            (run.stage_folder(name) / f"{spec.name}.{extension}").unlink(missing_ok=True)
    names = {name for name, _ in places}
    if "prompts" in names:  # it has no checksum of its own and is made from the corpus again
        (run.stage_folder("prompts") / "pool.json").unlink(missing_ok=True)
    for stage in stages:
        if stage.name in names:
            run_stage(run, stage, progress)
