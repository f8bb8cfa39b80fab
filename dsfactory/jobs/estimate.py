"""What a command would do, as numbers and in words: work, disk, and time as far as something has measured it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsfactory.core.run import Run
from dsfactory.jobs.config import RunConfig
from dsfactory.models.locate import find_model, resolve_name
from dsfactory.runner.log import LOG

BYTES_PER_PIXEL = {"prompts": 0.0, "generate": 1.8, "refine": 0.06, "export": 1.9}
"""Rule of thumb for a stage that has made nothing yet: photographs as PNG, and masks."""
BYTES_PER_SAMPLE = {"prompts": 300.0, "generate": 20_000.0, "refine": 3_000.0, "export": 3_000.0}
"""What comes on top whatever the size: evidence of one class, rows, the tar's blocks."""

PACE = "this run's pace so far"
RULE = "a rule of thumb"


@dataclass(frozen=True)
class StageEstimate:
    """What a stage would do.

    Attributes:
        stage: its name; of an export, that of the format.
        finished: samples that it has.
        to_make: samples that it would make.
        bytes: what these would take on the disk.
        measured: the bytes are those of this run's samples; otherwise a rule of thumb.
        seconds: how long they would take at a pace that was measured; None when none was.
        basis: where the pace comes from, in words.
        unit: what is counted.
        workers: how many work on it at once; None where only a cluster knows, and the seconds are those of one.
    """

    stage: str
    finished: int
    to_make: int
    bytes: int
    measured: bool
    seconds: float | None
    basis: str = PACE
    unit: str = "samples"
    workers: int | None = 1


@dataclass(frozen=True)
class Estimate:
    """What a command would do.

    Attributes:
        run: the run's directory.
        model: who would draw or look.
        download_mb: what has to be downloaded first; 0 when the model is here, None when its size is not known.
        width: of the images in pixels; None when only the model can tell, or the pictures are given.
        height: likewise.
        stages: in order.
        about: what is made, in words.
        notes: what else the user should know.
        beside: stages that are worked on at the same time.
    """

    run: Path
    model: str
    download_mb: int | None
    width: int | None
    height: int | None
    stages: list[StageEstimate]
    about: str
    notes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def seconds(self) -> float | None:
        """How long all takes; None when there is nothing to do, or no pace was measured for a part of it."""
        times = {stage.stage: stage.seconds for stage in self.stages if stage.to_make}
        known = {name: seconds for name, seconds in times.items() if seconds is not None}
        if not known or len(known) < len(times):
            return None
        together = [seconds for name, seconds in known.items() if name in self.beside]
        return sum(seconds for name, seconds in known.items() if name not in self.beside) + max(together, default=0.0)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "run": str(self.run), "dry_run": True}


def estimate_stages(
    out: Path,
    run: Run | None,
    config: RunConfig,
    counts: Mapping[str, tuple[int, int]],
    formats: tuple[str, ...] = (),
    workers: Mapping[str, int | None] | None = None,
    beside: tuple[str, ...] = (),
) -> Estimate:
    """Sizes and times of stages that draw or look at images.

    Args:
        out: the run's directory.
        run: the run, if it is there.
        config: its settings.
        counts: per stage, samples that are finished and that are to be made.
        formats: exports that follow the last stage.
        workers: how many work on a stage at once, None where only a cluster knows; one on those that are not named.
        beside: stages that are worked on at the same time.
    """
    source = resolve_name(config.generate.model)
    model = find_model(config.generate.model, config.generate.revision)
    defaults = model.defaults if model else source.preset.defaults if source.preset else None
    width = config.generate.width or (defaults.width if defaults else None)
    height = config.generate.height or (defaults.height if defaults else None)
    download = 0 if model else source.preset.size_mb if source.preset else None
    pixels = (width or 512) * (height or 512)
    pace = read_pace(out / LOG)
    stages = []
    for name, (finished, to_make) in counts.items():
        made = bytes_per_sample(run, name) if run else None
        size = round((made or _rule(name, pixels)) * to_make)
        crew = workers.get(name, 1) if workers else 1
        if crew is not None:  # no more than there are shards for
            crew = max(1, min(crew, -(-to_make // config.shard_size)))
        seconds = _time(pace, name, to_make, crew or 1)
        stages.append(StageEstimate(name, finished, to_make, size, bool(made), seconds, workers=crew))
    samples = sum(counts["refine"]) if formats else 0
    for name in formats:
        seconds = _time(pace, f"export {name}", samples)
        stages.append(StageEstimate(name, 0, samples, round(_rule("export", pixels) * samples), False, seconds))
    if config.annotate is not None:
        return Estimate(out, config.generate.model, download, None, None, stages,
                        f"given pictures, looked at by {config.generate.model}")  # fmt: skip
    drawn = f"{width} × {height}" if width else "the model's own size"
    about = f"images of {drawn} by {config.generate.model}"
    return Estimate(out, config.generate.model, download, width, height, stages, about, beside=beside)


def _rule(stage: str, pixels: int) -> float:
    return BYTES_PER_PIXEL[stage] * pixels + BYTES_PER_SAMPLE[stage]


def _time(pace: Mapping[str, float], name: str, count: int, workers: int = 1) -> float | None:
    """Seconds for so many; several workers compute with a thread each, so their own pace counts if there is one."""
    each = pace.get(by_workers(name)) if workers > 1 else None
    each = pace.get(name) if each is None else each
    return round(each * count / workers, 1) if each is not None else None


def finished_samples(run: Run, stage: str) -> int:
    """Samples that a stage has finished."""
    return sum(map(len, run.finished(stage)))


def bytes_per_sample(run: Run, stage: str) -> float | None:
    """Mean size of what a stage has made of a sample; None when it has made nothing."""
    specs = run.finished(stage)
    if not specs:
        return None
    files = [run.stage_folder(stage) / f"{spec.name}.{extension}" for spec in specs for extension in ("tar", "parquet")]
    return sum(file.stat().st_size for file in files if file.exists()) / sum(map(len, specs))


def read_pace(log: Path) -> dict[str, float]:
    """Seconds per unit of work, as a run's log has them.

    Returns:
        by stage per sample, of one worker; by :func:`by_workers` per sample of a stage, of one of several workers; by
        ``"export FORMAT"`` per image; by :func:`training_name` per step of a training.
    """
    counts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            event = json.loads(line)
            name, count, took = _work(event)
            for key in (name, by_workers(name)) if "worker" in event else (name,):
                counts[key] = counts.get(key, 0) + count
                seconds[key] = seconds.get(key, 0.0) + took
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # a line that a full disk cut off
    return {name: seconds[name] / count for name, count in counts.items() if count}


def by_workers(stage: str) -> str:
    """Under which name the pace of a stage's worker processes stands."""
    return f"{stage} by workers"


def training_name(side: int, batch_size: int, segmenter: str | None) -> str:
    """What decides the pace of a training."""
    return f"evaluate {segmenter or 'from scratch'} {side} {batch_size}"


def _work(event: Mapping[str, Any]) -> tuple[str, int, float]:
    """What was done, how much of it and in which time; an empty name for a line that says nothing of it."""
    if event["event"] == "shard":
        return str(event["stage"]), int(event["samples"]), float(event["seconds"])
    if event["event"] == "exported":
        return f"export {event['format']}", int(event["samples"]), float(event["seconds"])
    if event["event"] == "training":
        name = training_name(event["side"], event["batch_size"], event.get("segmenter"))
        return name, int(event["steps"]), float(event["seconds"])
    return "", 0, 0.0


def in_words(found: Estimate) -> list[str]:
    """The estimate as lines for a person."""
    lines = [f"{found.run}: {found.about}"]
    if found.download_mb != 0:
        lines.append(f"  {found.model} is not here: to download"
                     + (f" {found.download_mb} MB" if found.download_mb else ", of unknown size"))  # fmt: skip
    wide = max(9, *(len(stage.stage) for stage in found.stages))
    for stage in found.stages:
        rule = "" if stage.measured else f", {RULE}"
        disk = f", about {_size(stage.bytes)}{rule}" if stage.to_make and stage.bytes else ""
        unit = "" if stage.unit == "samples" else f" {stage.unit}"
        work = f"{stage.to_make}{unit} to make, {stage.finished} finished"
        lines.append(f"  {stage.stage:<{wide}} {work}{disk}{_time_words(stage)}")
    total = sum(stage.bytes for stage in found.stages)
    if len(found.stages) > 1 and total:
        seconds = found.seconds()
        one = " of one worker" if any(stage.workers is None for stage in found.stages) else ""
        time = f" and {_duration(seconds)}{one}" if seconds is not None else ""
        lines.append(f"  {'in all':<{wide}} about {_size(total)} of disk{time}")
    if total > (free := _free(found.run)):
        lines.append(f"  the disk has {_size(free)} free: that is not enough")
    lines += [f"  {note}" for note in found.notes]
    lines.append("nothing was written (--dry-run)")
    return lines


def _free(path: Path) -> int:
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _time_words(stage: StageEstimate) -> str:
    if not stage.to_make:
        return ""
    if stage.seconds is None:
        return "; time unknown, this run has measured none"
    crew = " of one worker" if stage.workers is None else f", {stage.workers} at once" if stage.workers > 1 else ""
    return f"; about {_duration(stage.seconds)} at {stage.basis}{crew}"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
