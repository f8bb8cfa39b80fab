"""What a command would do, as numbers and in words: refusals, work, disk and time. A dry run is the plan, printed."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dsfactory.core.registry import names_in_words
from dsfactory.core.run import Run
from dsfactory.core.stage import Stage
from dsfactory.jobs.counting import RULE, Counting, StagePlan
from dsfactory.jobs.job import EngineMachines, Request, open_matching, segments_of
from dsfactory.jobs.naming import asks_model
from dsfactory.jobs.steps import Planned, appended, plan_steps
from dsfactory.runner.executors import Engine
from dsfactory.runner.progress import Progress, Reports
from dsfactory.stages import RunConfig
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.model import image_size


@dataclass(frozen=True)
class Plan:
    """What a command would do.

    Attributes:
        run: the run's directory.
        model: who would make the images, or look at them.
        download_mb: what has to be downloaded first; 0 when the model is here, None when its size is not known.
        width: of the images in pixels; None when only the model can tell, or the pictures are given.
        height: of the images in pixels; None where the width is.
        stages: in order.
        about: what is made, in words.
        notes: what else the user should know.
        beside: stages that are worked on at the same time.
        facts: what stages would conclude, as JSON values.
        kept: what was made for the plan and stays in the run for the work itself.
    """

    run: Path
    model: str
    download_mb: int | None
    width: int | None
    height: int | None
    stages: list[StagePlan]
    about: str
    notes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    def seconds(self) -> float | None:
        """How long all takes; None when there is nothing to do, or no pace was measured for a part of it."""
        times = {stage.stage: stage.seconds for stage in self.stages if stage.to_make}
        known = {name: seconds for name, seconds in times.items() if seconds is not None}
        if not known or len(known) < len(times):
            return None
        together = [seconds for name, seconds in known.items() if name in self.beside]
        return sum(seconds for name, seconds in known.items() if name not in self.beside) + max(together, default=0.0)

    def as_json(self) -> dict[str, Any]:
        facts = dict(self.facts)
        content = {name: value for name, value in asdict(self).items() if name != "facts"}
        return {**content, "run": str(self.run), "dry_run": True, **facts}

    def in_words(self) -> list[str]:
        """The plan as lines for a person."""
        lines = [f"{self.run}: {self.about}"]
        if self.download_mb != 0:
            size = f" {self.download_mb} MB" if self.download_mb else ", of unknown size"
            lines.append(f"  {self.model} is not here: to download{size}")
        wide = max(9, *(len(stage.stage) for stage in self.stages))
        for stage in self.stages:
            rule = "" if stage.measured else f", {RULE}"
            disk = f", about {in_bytes(stage.bytes)}{rule}" if stage.to_make and stage.bytes else ""
            unit = "" if stage.unit == "samples" else f" {stage.unit}"
            gone = f", {stage.discards} deleted first" if stage.discards else ""
            work = f"{stage.to_make}{unit} to make, {stage.finished} finished{gone}"
            lines.append(f"  {stage.stage:<{wide}} {work}{disk}{_time_words(stage)}")
        total = sum(stage.bytes for stage in self.stages)
        if len(self.stages) > 1 and total:
            seconds = self.seconds()
            one = " of one worker" if any(stage.workers is None for stage in self.stages) else ""
            time = f" and {duration(seconds)}{one}" if seconds is not None else ""
            lines.append(f"  {'in all':<{wide}} about {in_bytes(total)} of disk{time}")
        if total > (free := _free(self.run)):
            lines.append(f"  the disk has {in_bytes(free)} free: that is not enough")
        lines += [f"  {note}" for note in self.notes]
        kept = f" but {names_in_words(self.kept)}, which the work itself will use" if self.kept else ""
        lines.append(f"nothing was written{kept} (--dry-run)")
        return lines


def plan_job(request: Request, progress: Progress) -> Plan:
    """What :func:`dsfactory.jobs.job.run_job` would do with the same request. Writes and downloads nothing.

    Raises:
        UserError: it would refuse.
    """
    out, config = request.settle()
    run = open_matching(request, out, config)
    kinds = request.kinds
    missing = next((item for kind in kinds if (item := kind.missing(config)) is not None), None)
    notes = request.notes(config, run)
    planned: list[Planned] = []
    if missing is None:
        machines = EngineMachines(_unasked(request.engine, kinds[0].build(config, out)), progress)
        if run is not None and request.append is not None:
            config = appended(run, config, request.append, kinds[-1].folder, progress.note)
        planned = plan_steps(kinds, config, out, run, request.redo, machines)
        notes += [line for item in planned for line in item.notes]
    else:
        for kind in kinds:
            kind.build(config, out)  # refuses what does not need the model
    beside = _beside(planned, run)
    counting = Counting(config, out, run, request, [item.stage for item in planned] or None)
    stages = [counting.stage(kind, kind.name in beside) for kind in kinds]
    stages += [counting.export(name) for name in request.formats]
    width, height = (None, None) if any(kind.given for kind in kinds) else image_size(config.of(GenerateConfig))
    lines, facts, kept = _previews(planned, run, progress)
    return Plan(
        run=out,
        model=config.of(GenerateConfig).model if asks_model(kinds) else "",
        download_mb=missing.megabytes if missing is not None else 0,
        width=width,
        height=height,
        stages=stages,
        about=_about(config, kinds, width, height),
        notes=(*notes, *request.settings_line(config), *lines),
        beside=beside,
        facts=facts,
        kept=kept,
    )


def _about(config: RunConfig, kinds: Sequence[type[Stage]], width: int | None, height: int | None) -> str:
    classes = names_in_words([item.name for item in config.classes])
    model = config.of(GenerateConfig).model
    if not asks_model(kinds):
        return f"given images with their labels, for {classes}"
    if kinds[0].given:
        return f"given pictures, looked at by {model}, for {classes}"
    if kinds[0].reads:
        return f"{names_in_words([kind.name for kind in kinds])} of {classes}"
    size = f"{width} × {height}" if width else "the model's own size"
    return f"images of {size} by {model}, of {classes}"


class _Unasked:
    """In a cluster's place: what its nodes have is not asked for the sake of a plan."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def auto_dtype(self, device: str, progress: Progress) -> str:
        return "fp32"  # compared with nothing: a run that was begun keeps its own

    def text_device(self, device: str) -> str:
        return "auto"


def _unasked(engine: Engine, stage: Stage) -> Engine:
    return engine if engine.workers(stage) is not None else _Unasked(engine)


def _beside(planned: Sequence[Planned], run: Run | None) -> tuple[str, ...]:
    """Stages that are made beside each other."""
    return tuple(item.stage.name for segment in segments_of(planned, run) if len(segment) > 1 for item in segment)


def _previews(
    planned: Sequence[Planned], run: Run | None, progress: Progress
) -> tuple[tuple[str, ...], dict[str, Any], tuple[str, ...]]:
    """What stages would conclude, where what they read is there; and what they keep of the work that this took."""
    lines: list[str] = []
    kept: list[str] = []
    facts: dict[str, Any] = {}
    for item in planned:
        if item.certain and item.space is not None:
            said = item.stage.preview(item.space, Reports(progress))
            lines += [*said.lines, *said.notes]
            facts |= said.facts
            kept += filter(None, [said.kept])
    return tuple(lines), facts, tuple(kept)


def _free(path: Path) -> int:
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _time_words(stage: StagePlan) -> str:
    if not stage.to_make:
        return ""
    if stage.seconds is None:
        return "; time unknown, this run has measured none"
    crew = " of one worker" if stage.workers is None else f", {stage.workers} at once" if stage.workers > 1 else ""
    return f"; about {duration(stage.seconds)} at {stage.basis}{crew}"


def duration(seconds: float) -> str:
    """``"12 min"``."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def in_bytes(count: int) -> str:
    """``"1.5 GB"``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
