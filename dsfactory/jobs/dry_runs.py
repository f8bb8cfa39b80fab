"""``--dry-run`` of the commands that make something.

Each refuses what the command would refuse, writes nothing into the run and downloads nothing.

``filter`` and ``import`` have theirs beside the work, since only doing it says what would come out.
"""

import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from dsfactory.core.run import CONFIG, Run, is_run
from dsfactory.core.space import STAGE as SPLICE
from dsfactory.core.space import SpliceSpace
from dsfactory.errors import UserError
from dsfactory.evaluate.config import EvaluateConfig
from dsfactory.formats.exporter import is_there
from dsfactory.jobs.config import resolve_config
from dsfactory.jobs.estimate import (
    Estimate,
    StageEstimate,
    bytes_per_sample,
    estimate_stages,
    finished_samples,
    read_pace,
    training_name,
)
from dsfactory.jobs.export import Exports, export_to, plan_exports
from dsfactory.jobs.job import STAGES, appended, build_stage, learns_first, settle
from dsfactory.jobs.splicing import check_wish, splice_stage
from dsfactory.models.locate import find_model
from dsfactory.runner.executors import IN_PROCESS, Engine, InProcess, Local, Workers
from dsfactory.runner.log import LOG
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import check_stage, upstream_fingerprint
from dsfactory.stages.prompts.stage import PromptsStage

PROBE = 8
"""Samples that are exported on trial, to a folder that is thrown away."""


def estimate_generate(
    out: Path | None,
    config_file: Path | None,
    flags: Mapping[str, Any],
    progress: Progress,
    redo: bool = False,
    append: int | None = None,
    formats: tuple[str, ...] | None = None,
    engine: Engine = IN_PROCESS,
) -> Estimate:
    """What :func:`dsfactory.jobs.job.generate_job` would do with the same arguments.

    With ``formats`` it is the whole of ``dsfactory run``.

    Raises:
        UserError: it would refuse.
    """
    if append is not None and ("num" in flags or redo):
        raise UserError(f"use --append or {'--redo' if redo else '--num'}, not both")
    out, config = settle(out, config_file, flags)
    if append is not None and not is_run(out):
        raise UserError(f"{out} is not a run that could grow: begin it with --num instead of --append")
    run = Run.open_matching(out, config.classes, config.seed)
    PromptsStage(config.prompts, config.classes, config.seed, _no_embedder, {}, None)  # refuses what a run would
    if run is not None and append is not None:
        config = appended(run, config, append, progress)
    names = STAGES[: 2 if formats is None else 3]
    workers, beside = {name: count_workers(engine) for name in names[1:]}, False
    if run is not None and find_model(config.generate.model, config.generate.revision) is not None:
        upstream = ""
        stages = [build_stage(name, config, out, redo, _here(engine)) for name in names]
        for stage in stages:
            upstream = check_stage(run, stage, upstream, redo)
        if formats is not None and not learns_first(out, config, redo):
            beside = True
            if isinstance(engine, Local):
                workers["refine"] = len(engine.followers(stages[1], stages[2]))
    total = max(config.num * len(config.classes), run.total if run else 0)
    finished = {name: 0 if redo or run is None else finished_samples(run, name) for name in names}
    counts = {name: (finished[name], total - finished[name]) for name in names}
    return estimate_stages(out, run, config, counts, formats or (), workers, names[1:] if beside else ())


def count_workers(engine: Engine) -> int | None:
    """How many work on a stage at once; None where only a cluster knows."""
    if isinstance(engine, Workers):
        return len(engine.devices)
    return 1 if isinstance(engine, Local) else None


class _Unasked(InProcess):
    """In a cluster's place: what its nodes have is not asked for the sake of an estimate."""

    def auto_dtype(self, device: str, progress: Progress) -> str:
        return "fp32"  # compared with nothing: a run that was begun keeps its own

    def text_device(self, device: str) -> str:
        return "auto"


def _here(engine: Engine) -> Engine:
    return engine if isinstance(engine, Local) else _Unasked()


def _no_embedder() -> NoReturn:
    raise AssertionError("an estimate ranks no captions")


def estimate_annotate(
    images: Path,
    out: Path | None,
    config_file: Path | None,
    flags: Mapping[str, Any],
    redo: bool = False,
    formats: tuple[str, ...] = (),
    engine: Engine = IN_PROCESS,
) -> Estimate:
    """What ``dsfactory annotate`` would do with the same arguments.

    Raises:
        UserError: it would refuse.
    """
    from dsfactory.jobs.pictures import plan_annotation

    plan = plan_annotation(images, out, config_file, flags, redo)
    run = Run.open_matching(plan.out, plan.config.classes, plan.config.seed)
    if run is not None and find_model(plan.config.generate.model, plan.config.generate.revision) is not None:
        check_stage(run, build_stage("generate", plan.config, plan.out, redo), "", redo)
    total = len(plan.pictures)
    finished = {name: 0 if redo or run is None else finished_samples(run, name) for name in ("generate", "refine")}
    counts = {name: (done, total - done) for name, done in finished.items()}
    workers = dict.fromkeys(counts, count_workers(engine))
    return estimate_stages(plan.out, run, plan.config, counts, formats, workers)


def estimate_refine(
    run_path: Path,
    config_file: Path | None,
    flags: Mapping[str, Any],
    redo: bool = False,
    engine: Engine = IN_PROCESS,
) -> Estimate:
    """What :func:`dsfactory.jobs.job.refine_job` would do with the same arguments.

    Raises:
        UserError: it would refuse.
    """
    run = Run.open(run_path)
    config = resolve_config(run_path / CONFIG, config_file, flags)
    stage = build_stage("refine", config, run_path)
    check_stage(run, stage, upstream_fingerprint(run, stage), redo)
    finished = 0 if redo else finished_samples(run, "refine")
    counts = {"refine": (finished, finished_samples(run, "generate") - finished)}
    return estimate_stages(run_path, run, config, counts, workers={"refine": count_workers(engine)})


def estimate_splice(
    run_path: Path, config_file: Path | None, flags: Mapping[str, Any], progress: Progress, redo: bool = False
) -> Estimate:
    """What :func:`dsfactory.jobs.splicing.splice_job` would do with the same arguments.

    Before the first splice is made, the bytes are those of the run's own samples, scaled to the size that is asked for.

    Raises:
        UserError: it would refuse.
    """
    run = Run.open(run_path)
    config = resolve_config(run_path / CONFIG, config_file, flags)
    space = SpliceSpace.of(run)
    stage = splice_stage(run, config, space)
    check_wish(run, config, stage, space, redo, progress)
    check_stage(space, stage, "", redo)
    planned = (
        0
        if redo
        else max(space.layout.count("mosaic"), config.splice.num)
        + max(space.layout.count("paste"), config.splice.paste)
    )
    total = planned or config.splice.num + config.splice.paste
    finished = 0 if redo else finished_samples(space, SPLICE)
    made = bytes_per_sample(space, SPLICE)
    own = (bytes_per_sample(run, "generate") or 0.0) + (bytes_per_sample(run, "refine") or 0.0)
    side = max(run.reader("generate", run.finished("generate")[0]).rows[0][name] for name in ("width", "height"))
    scale = ((config.splice.size or side) / side) ** 2
    pace = read_pace(run_path / LOG)
    seconds = round(pace[SPLICE] * (total - finished), 1) if SPLICE in pace else None
    size = round((made or own * scale) * (total - finished))
    found = StageEstimate(SPLICE, finished, total - finished, size, bool(made), seconds)
    about = f"mosaics and pastes from {len(stage.sources)} kept samples of the train split"
    return Estimate(run_path, config.generate.model, 0, None, None, [found], about)


def estimate_export(
    run_path: Path,
    formats: str,
    out: Path | None,
    val_share: float,
    redo: bool = False,
    image_format: str | None = None,
    rle: bool = False,
    splice: bool = True,
    filtered: bool = True,
) -> Estimate:
    """What :func:`dsfactory.jobs.export.export_job` would do with the same arguments.

    Size and time are measured: the first few samples are exported to a temporary folder.

    Raises:
        UserError: it would refuse.
    """
    exports = plan_exports(run_path, formats, out, val_share, image_format, rle, splice, filtered)
    count = exports.count()
    if not count:
        raise UserError("there is no finished sample to export: see the reasons with 'dsfactory status'")
    stages = []
    for name, target in exports.targets:
        if is_there(name, target, redo=redo, **exports.settings):
            stages.append(StageEstimate(name, count, 0, 0, True, 0.0))
        else:
            stages.append(_try_export(exports, name, count))
    about = f"{count} images of {', '.join(exports.settings['classes'])}"
    return Estimate(run_path, exports.settings["model"], 0, None, None, stages, about)


def _try_export(exports: Exports, name: str, count: int) -> StageEstimate:
    samples = list(islice(exports.samples(), PROBE))
    with TemporaryDirectory(prefix="dsfactory-export-") as temporary:
        folder = Path(temporary) / name
        start = time.monotonic()
        export_to(exports, name, folder, iter(samples), redo=False)
        seconds = time.monotonic() - start
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    share = count / len(samples)
    basis = f"the pace of {len(samples)} exported on trial"
    return StageEstimate(name, 0, count, round(size * share), True, round(seconds * share, 1), basis)


def estimate_evaluate(
    run_path: Path,
    real: Path,
    config: EvaluateConfig,
    progress: Progress,
    synthetic: Path | None = None,
    splice: bool = True,
) -> Estimate:
    """What :func:`dsfactory.jobs.evaluate.evaluate_job` would do with the same arguments. Trains nothing.

    Raises:
        UserError: it would refuse.
    """
    from dsfactory.evaluate.results import ARMS
    from dsfactory.jobs.evaluate import read_sets

    run = Run.open(run_path)
    sets, test = read_sets(run, real, progress, synthetic, splice)
    trainings = len(ARMS) * config.repeats
    pace = read_pace(run_path / LOG)
    network = config.segment
    per_step = pace.get(training_name(network.side, network.batch_size, network.checkpoint))
    seconds = round(per_step * network.steps * trainings, 1) if per_step is not None else None
    stage = StageEstimate("evaluate", 0, trainings, 0, True, seconds, unit=f"trainings of {network.steps:,} steps")
    about = (
        f"{len(sets['synthetic'].images)} synthetic and {len(sets['real'].images)} real images to train on, "
        f"{len(test.images)} to test on"
    )
    note = "trainings that are finished, with the same data and settings, are used again"
    return Estimate(run_path, network.checkpoint or "a small network", 0, None, None, [stage], about, (note,))
