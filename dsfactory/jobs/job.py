"""The stages of a run, wired together, and the jobs that the commands call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory.core.config import ClassSpec, slug
from dsfactory.core.run import CONFIG, Run, is_run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.space import STAGE as SPLICE
from dsfactory.core.space import SpliceSpace
from dsfactory.core.stage import Stage
from dsfactory.dataset.corrections import Fixes
from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.config import RunConfig, resolve_config
from dsfactory.runner.executors import IN_PROCESS, Engine
from dsfactory.runner.limits import UNLIMITED, Limits, Stop
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import SILENT, Progress
from dsfactory.runner.scheduler import StageSummary, check_stage, run_stage, upstream_fingerprint
from dsfactory.runner.signals import check_stop
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.storage.atomic import write_atomic
from dsfactory.storage.disk import KEPT, disk_errors

if TYPE_CHECKING:
    from dsfactory.models.locate import Model
    from dsfactory.stages.prompts.retrieve import Embedder

STAGES = ("prompts", "generate", "refine", "filter")
"""Stages in order; each is a folder of a run."""

RUNS = Path("runs")


@dataclass
class JobSummary:
    """What a command did to a run.

    Attributes:
        run: the run's directory.
        stages: one summary per stage that was looked at, in order.
    """

    run: Path
    model: str = ""
    stages: list[StageSummary] = field(default_factory=list)

    @property
    def stopped(self) -> Stop | None:
        """The limit that ended the work early, if one did."""
        return next((stage.stopped for stage in self.stages if stage.stopped), None)

    @property
    def exit_code(self) -> int:
        """5 when a limit ended it early; else 3 when some samples failed or a shard could not be read; else 0."""
        if self.stopped is not None:
            return 5
        return 3 if any(stage.statuses["failed"] or stage.damaged for stage in self.stages) else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "model": self.model,
            "exit_code": self.exit_code,
            "stages": [stage.as_json() for stage in self.stages],
        }


def default_out(config: RunConfig) -> Path:
    """``runs/dog-bird-pocket``: the same command finds its run again."""
    names = [item.slug for item in config.classes]
    shown = "-".join(names) if len(names) <= 3 else f"{'-'.join(names[:3])}-and-{len(names) - 3}-more"
    return RUNS / f"{shown}-{slug(config.generate.model)}"


def settle(out: Path | None, config_file: Path | None, flags: Mapping[str, Any]) -> tuple[Path, RunConfig]:
    """The folder and the resolved settings of the run that ``generate`` would work on with these arguments.

    Raises:
        UserError: the first mistake in the settings.
    """
    config = resolve_config(out / CONFIG if out else None, config_file, flags)
    if out is None:
        out = default_out(config)
        config = resolve_config(out / CONFIG, config_file, flags)
    return out, config


def build_stage(
    name: str,
    config: RunConfig,
    run_path: Path,
    redo: bool = False,
    engine: Engine = IN_PROCESS,
    progress: Progress = SILENT,
) -> Stage:
    """A stage as this config wants it. Cheap: what is heavy is loaded by ``prepare``.

    Args:
        name: of the stage.
        config: of the run.
        run_path: the run, which need not be there yet.
        redo: it is made anew, so what was settled when it was begun does not count.
        engine: who draws.
        progress: who is told when that takes time to find out.

    Raises:
        UserError: the config names a corpus, a model or a device that is not there.
    """
    if name == "prompts":
        if config.annotate is not None:
            raise UserError(f"{run_path} labels given pictures, it draws none: use 'dsfactory annotate'")
        from dsfactory.models.locate import locate_model
        from dsfactory.stages.prompts.stage import PromptsStage

        model = locate_model(config.generate.model, config.generate.revision)
        text_device = engine.text_device(config.generate.device)
        return PromptsStage(
            config.prompts,
            config.classes,
            config.seed,
            embed_factory=lambda: load_embedder(model, text_device),
            embedder=model.identity(),
            pool_path=run_path / "prompts" / "pool.json",
        )
    if name == "generate" and config.annotate is not None:
        from dsfactory.stages.annotate.stage import AnnotateStage

        drawing = _with_dtype(config.generate, run_path, redo, engine, progress)
        return AnnotateStage(config.annotate, drawing, config.classes, config.seed, run_path)
    if name == "generate":
        from dsfactory.stages.generate.stage import GenerateStage

        return GenerateStage(_with_dtype(config.generate, run_path, redo, engine, progress), config.classes)
    if name == "filter":
        from dsfactory.stages.filter.stage import FilterStage

        return FilterStage.of_run(config.filter, Run.open(run_path))
    from dsfactory.stages.refine.stage import RefineStage

    return RefineStage.of_run(config.refine, config.classes, run_path)


def load_embedder(model: "Model", device: str) -> "Embedder":
    """The text encoder that ranks captions."""
    from dsfactory.models.loading import load_text_embedder

    return load_text_embedder(model, device=device)


def _with_dtype(
    config: GenerateConfig, run_path: Path, redo: bool, engine: Engine, progress: Progress
) -> GenerateConfig:
    """The settings with a number format in place of ``auto``, so that a run never holds a mixture.

    A run that goes on keeps the format in which it was begun, wherever that was; a new one takes that of its device.
    """
    if config.dtype != "auto":
        return config
    begun = Run.open(run_path).stage_state("generate") if is_run(run_path) and not redo else None
    dtype = begun.identity.get("dtype") if begun is not None else None
    if dtype not in ("fp32", "bf16", "fp16"):
        dtype = engine.auto_dtype(config.device, progress)
    return config.model_copy(update={"dtype": dtype})


def generate_job(
    out: Path | None,
    config_file: Path | None,
    flags: Mapping[str, Any],
    progress: Progress,
    redo: bool = False,
    append: int | None = None,
    limits: Limits = UNLIMITED,
    engine: Engine = IN_PROCESS,
    refine: bool = False,
) -> JobSummary:
    """Find prompts and draw images: ``dsfactory generate``; with ``refine``, the first part of ``dsfactory run``.

    Args:
        out: the run's directory; None for :func:`default_out`.
        config_file: a ``run.yaml``, or None.
        flags: nested settings from the command line; they win over the file.
        progress: who is told.
        redo: make both stages again even if they were made with other settings.
        append: images per class to add to a run that is there; see :func:`appended`.
        limits: when to stop before all is done.
        engine: who draws and refines; prompts are found by this process.
        refine: turn evidence into masks as well, while the next images are drawn.

    Raises:
        UserError: bad input; nothing was written.
        RunLocked: another process works on the run.
    """
    if append is not None and ("num" in flags or redo):
        raise UserError(f"use --append or {'--redo' if redo else '--num'}, not both")
    out, config = settle(out, config_file, flags)
    if append is not None and not is_run(out):
        raise UserError(f"{out} is not a run that could grow: begin it with --num instead of --append")
    learns = refine and learns_first(out, config, redo)
    stages = [build_stage(name, config, out, redo, engine, progress) for name in STAGES[: 3 if refine else 2]]
    for stage in stages:
        stage.identity()
    _warn_of_unknown_classes(config, progress)
    job = "run" if refine else "generate"
    with disk_errors(out, KEPT), Run.claim(out, config.classes, config.seed) as run, run_log(out, job) as ended:
        upstream = ""
        for stage in stages:
            upstream = check_stage(run, stage, upstream, redo)
        if append is not None:
            config = appended(run, config, append, progress)
        run.grow(config.num * len(config.classes), config.shard_size)
        save_config(run, config)
        if redo:
            # All of them at once: a stop leaves nothing old that would refuse to go on without --redo.
            for stage in reversed(stages):
                run.discard_stage(stage.name)
        with engine.preparing(run, stages[1], limits):
            summary = JobSummary(out, config.generate.model, [run_stage(run, stages[0], progress, limits=limits)])
            if not summary.stopped:
                drawing = stages[1:2] if learns else stages[1:]
                summary.stages += engine.run_chain(run, drawing, progress, limits)
        if learns and not summary.stopped:
            summary.stages.append(_refine(run, config, progress, False, limits, engine))
        ended |= outcome_of(summary)
        return summary


def _warn_of_unknown_classes(config: RunConfig, progress: Progress) -> None:
    """Say so before drawing when a small model never learnt a class."""
    from dsfactory.models.presets import PRESETS
    from dsfactory.stages.prompts.vocabulary import class_words

    preset = PRESETS.get(config.generate.model)
    if preset is None or not preset.classes:
        return
    known = {word for name in preset.classes for word in class_words(ClassSpec(name=name)).phrases}
    unknown = [item.name for item in config.classes if known.isdisjoint({item.name, *class_words(item).names})]
    if unknown:
        progress.note(
            f"{preset.name} never learnt {', '.join(unknown)} (it knows {', '.join(preset.classes)}): "
            "expect nonsense, or use --model sd15"
        )


def appended(run: Run, config: RunConfig, append: int, progress: Progress) -> RunConfig:
    """The config with a larger target: so many more images per class than the run is to have.

    A run that was stopped on its way to its target is to reach that first, so that the same command, given
    night after night, goes on and does not pile up.
    """
    num = run.total // len(config.classes)
    if len(run.finished("generate")) == len(run.shards()):
        num += append
    else:
        progress.note(f"generate: {run.path} is not finished yet, its {run.total} samples come before any are added")
    return resolve_config(None, None, {**config.model_dump(mode="json"), "num": num})


def outcome_of(summary: JobSummary) -> dict[str, Any]:
    """What the run's log says at the end of a job."""
    made = {stage.stage: stage.made for stage in summary.stages}
    stopped = {"stopped": summary.stopped.reason} if summary.stopped else {}
    return {"exit_code": summary.exit_code, "made": made, **stopped}


def refine_job(
    run_path: Path,
    config_file: Path | None,
    flags: Mapping[str, Any],
    progress: Progress,
    redo: bool = False,
    limits: Limits = UNLIMITED,
    engine: Engine = IN_PROCESS,
) -> JobSummary:
    """Turn evidence into masks: ``dsfactory refine``. Draws nothing; arguments as :func:`generate_job`."""
    with disk_errors(run_path, KEPT), open_locked(run_path) as run, run_log(run_path, "refine") as ended:
        config = resolve_config(run_path / CONFIG, config_file, flags)
        stage = build_stage("refine", config, run_path)
        check_stage(run, stage, upstream_fingerprint(run, stage), redo)
        # Before the work: what a signal or a limit leaves is finished with these settings.
        save_config(run, config)
        done = _refine(run, config, progress, redo, limits, engine)
        summary = JobSummary(run_path, config.generate.model, [done])
        ended |= outcome_of(summary)
        return summary


def _refine(
    run: Run, config: RunConfig, progress: Progress, redo: bool, limits: Limits, engine: Engine
) -> StageSummary:
    """The refine stage, after training the affinity network that its settings may want."""
    if config.refine.affinity == "net":
        from dsfactory.stages.refine.affinity_run import train_net

        stage = build_stage("refine", config, run.path)
        check_stage(run, stage, upstream_fingerprint(run, stage), redo)
        if redo:  # the network goes with the masks, so it has to go before it is trained
            run.discard_stage(stage.name)
            redo = False
        train_net(run, config.refine, _TrainingProgress(progress))
    return engine.run_stage(run, build_stage("refine", config, run.path), progress, redo, limits)


class _TrainingProgress:
    """Shows an affinity network's training steps."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._begun = False

    def __call__(self, step: int, steps: int) -> None:
        check_stop()
        if not self._begun:
            self._progress.begin("affinity", steps, step - 1)
            self._begun = True
        self._progress.advance("affinity")


def learns_first(out: Path, config: RunConfig, redo: bool) -> bool:
    """Whether masks wait for all pictures, from which an affinity network that is not there yet learns first."""
    if config.refine.affinity != "net":
        return False
    from dsfactory.stages.refine.affinity_run import has_net

    return redo or not is_run(out) or not has_net(Run.open(out), config.refine)


@contextmanager
def open_locked(run_path: Path) -> Iterator[Run]:
    """An existing run, held by its lock."""
    run = Run.open(run_path)
    with run.lock():
        yield Run.open(run.path)


def run_config(run_path: Path) -> RunConfig:
    """The resolved config of an existing run.

    Raises:
        UserError: not a run, or its config is missing.
    """
    Run.open(run_path)
    path = run_path / CONFIG
    if not path.exists():
        raise UserError(f"{run_path} has no {CONFIG}: run 'dsfactory generate --out {run_path}' again")
    return RunConfig.read(path)


def save_config(run: Run, config: RunConfig) -> None:
    """Write ``config.yaml`` unless it says the same already."""
    data = config.to_yaml().encode()
    path = run.path / CONFIG
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)


def finished_shards(run: Run, stage: str) -> list[ShardSpec]:
    """Shards that a stage has finished under its present settings: what a reader may see while others are written.

    A shard that was made with other settings, about to be replaced, is none. A damaged one is one: reading it says so.
    """
    state = run.stage_state(stage)
    if state is None:
        return []
    return [spec for spec in run.finished(stage) if run.may_be_read(stage, spec, state.fingerprint)]


def status_of(run_path: Path) -> dict[str, Any]:
    """What a run holds: per stage how many samples are finished and with which status, and which shards are damaged.

    Sees finished shards only, so it may be asked while another process works on the run.
    """
    run = Run.open(run_path)
    stages = []
    for space, name in [*((run, name) for name in STAGES), (SpliceSpace.of(run), SPLICE)]:
        if space.stage_state(name) is None:
            continue
        summary = StageSummary(name)
        for spec in finished_shards(space, name):
            try:
                summary.count(space.reader(name, spec).rows)
            except DamagedShard as error:
                summary.damaged.append(str(error))
        stages.append({"stage": name, "samples": summary.samples, "of": space.total,
                       "statuses": dict(summary.statuses), "reasons": dict(summary.reasons),
                       "damaged": summary.damaged})  # fmt: skip
    return {
        "run": str(run_path),
        "classes": [item.name for item in run.manifest.classes],
        "samples": run.total,
        "shards": len(run.manifest.shards),
        "stages": stages,
        "fixes": len(Fixes.of(run_path).entries),
        "exports": sorted(path.name for path in (run_path / "export").glob("*") if not path.name.startswith(".")),
    }
