"""What a command would do: images, disk, and time as far as the run has measured it. Writes and downloads nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsfactory.core.errors import UserError
from dsfactory.core.run import CONFIG, Run, is_run
from dsfactory.engine.config import RunConfig, resolve_config
from dsfactory.engine.local import check_stage, upstream_fingerprint
from dsfactory.engine.log import LOG
from dsfactory.engine.pipeline import STAGES, appended, build_stage, default_out
from dsfactory.engine.progress import Progress
from dsfactory.models.locate import find_model, resolve_name

BYTES_PER_PIXEL = {"prompts": 0.0, "generate": 1.8, "refine": 0.06}
"""Rule of thumb for a stage that has made nothing yet: photographs as PNG, and masks."""
BYTES_PER_SAMPLE = {"prompts": 300.0, "generate": 20_000.0, "refine": 3_000.0}
"""What comes on top whatever the size: evidence of one class, rows, the tar's blocks."""


@dataclass(frozen=True)
class StageEstimate:
    """What a stage would do.

    Attributes:
        stage: its name.
        finished: samples that it has.
        to_make: samples that it would make.
        bytes: what these would take on the disk.
        measured: the bytes are those of this run's samples so far; otherwise a rule of thumb.
        seconds: how long they would take at the pace that the run's log has; None when it has none.
    """

    stage: str
    finished: int
    to_make: int
    bytes: int
    measured: bool
    seconds: float | None


@dataclass(frozen=True)
class Estimate:
    """What a command would do.

    Attributes:
        run: the run's directory.
        model: who would draw.
        download_mb: what has to be downloaded first; 0 when the model is here, None when its size is not known.
        width: of the images in pixels; None when only the model can tell.
        height: likewise.
        stages: in order.
    """

    run: Path
    model: str
    download_mb: int | None
    width: int | None
    height: int | None
    stages: list[StageEstimate]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "run": str(self.run), "dry_run": True}


def estimate_generate(
    out: Path | None,
    config_file: Path | None,
    flags: Mapping[str, Any],
    progress: Progress,
    redo: bool = False,
    append: int | None = None,
    refine: bool = False,
) -> Estimate:
    """What :func:`dsfactory.engine.pipeline.generate_job` would do with the same arguments.

    Raises:
        UserError: it would refuse.
    """
    if append is not None and ("num" in flags or redo):
        raise UserError(f"use --append or {'--redo' if redo else '--num'}, not both")
    config = resolve_config(out / CONFIG if out else None, config_file, flags)
    if out is None:
        out = default_out(config)
        config = resolve_config(out / CONFIG, config_file, flags)
    if append is not None and not is_run(out):
        raise UserError(f"{out} is not a run that could grow: begin it with --num instead of --append")
    run = Run.open_matching(out, config.classes, config.seed)
    if run is not None and append is not None:
        config = appended(run, config, append, progress)
    names = STAGES[: 3 if refine else 2]
    if run is not None and find_model(config.generate.model, config.generate.revision) is not None:
        upstream = ""
        for name in names:
            upstream = check_stage(run, build_stage(name, config, out), upstream, redo)
    total = max(config.num * len(config.classes), run.total if run else 0)
    finished = {name: 0 if redo or run is None else _finished(run, name) for name in names}
    return _estimate(out, run, config, {name: (finished[name], total - finished[name]) for name in names})


def estimate_refine(run_path: Path, config_file: Path | None, flags: Mapping[str, Any], redo: bool = False) -> Estimate:
    """What :func:`dsfactory.engine.pipeline.refine_job` would do with the same arguments.

    Raises:
        UserError: it would refuse.
    """
    run = Run.open(run_path)
    config = resolve_config(run_path / CONFIG, config_file, flags)
    stage = build_stage("refine", config, run_path)
    check_stage(run, stage, upstream_fingerprint(run, stage), redo)
    finished = 0 if redo else _finished(run, "refine")
    return _estimate(run_path, run, config, {"refine": (finished, _finished(run, "generate") - finished)})


def _estimate(out: Path, run: Run | None, config: RunConfig, counts: Mapping[str, tuple[int, int]]) -> Estimate:
    source = resolve_name(config.generate.model)
    model = find_model(config.generate.model, config.generate.revision)
    defaults = model.defaults if model else source.preset.defaults if source.preset else None
    width = config.generate.width or (defaults.width if defaults else None)
    height = config.generate.height or (defaults.height if defaults else None)
    download = 0 if model else source.preset.size_mb if source.preset else None
    pixels = (width or 512) * (height or 512)
    pace = _pace(out / LOG)
    stages = []
    for name, (finished, to_make) in counts.items():
        made = _bytes_per_sample(run, name) if run else None
        per_sample = made or BYTES_PER_PIXEL[name] * pixels + BYTES_PER_SAMPLE[name]
        seconds = round(pace[name] * to_make, 1) if name in pace else None
        stages.append(StageEstimate(name, finished, to_make, round(per_sample * to_make), bool(made), seconds))
    return Estimate(out, config.generate.model, download, width, height, stages)


def _finished(run: Run, stage: str) -> int:
    return sum(map(len, run.finished(stage)))


def _bytes_per_sample(run: Run, stage: str) -> float | None:
    """Mean size of what a stage has made of a sample; None when it has made nothing."""
    specs = run.finished(stage)
    if not specs:
        return None
    files = [run.stage_folder(stage) / f"{spec.name}.{extension}" for spec in specs for extension in ("tar", "parquet")]
    return sum(file.stat().st_size for file in files if file.exists()) / sum(map(len, specs))


def _pace(log: Path) -> dict[str, float]:
    """Seconds per sample of each stage, as a run's log has them."""
    samples: dict[str, int] = {}
    seconds: dict[str, float] = {}
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            event = json.loads(line)
            if event["event"] == "shard":
                stage = str(event["stage"])
                samples[stage] = samples.get(stage, 0) + int(event["samples"])
                seconds[stage] = seconds.get(stage, 0.0) + float(event["seconds"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # a line that a full disk cut off
    return {stage: seconds[stage] / count for stage, count in samples.items() if count}


def in_words(found: Estimate) -> list[str]:
    """The estimate as lines for a person."""
    size = f"{found.width} × {found.height}" if found.width else "the model's own size"
    lines = [f"{found.run}: images of {size} by {found.model}"]
    if found.download_mb != 0:
        lines.append(f"  {found.model} is not here: to download"
                     + (f" {found.download_mb} MB" if found.download_mb else ", of unknown size"))  # fmt: skip
    for stage in found.stages:
        basis = "" if stage.measured else ", a rule of thumb"
        disk = f", about {_size(stage.bytes)}{basis}" if stage.to_make else ""
        lines.append(f"  {stage.stage:<9} {stage.to_make} to make, {stage.finished} finished{disk}{_time(stage)}")
    total = sum(stage.bytes for stage in found.stages)
    if len(found.stages) > 1 and total:
        lines.append(f"  in all    about {_size(total)} of disk")
    lines.append("nothing was written (--dry-run)")
    return lines


def _time(stage: StageEstimate) -> str:
    if not stage.to_make:
        return ""
    if stage.seconds is None:
        return "; time unknown, this run has measured none"
    minutes = stage.seconds / 60
    shown = (
        f"{stage.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    )
    return f"; about {shown} at this run's pace so far"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
