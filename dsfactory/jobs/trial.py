"""A trial: a few images per class, to see whether a model makes the classes and labels them. Made of other jobs."""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from dsfactory.core.run import Run
from dsfactory.jobs.counting import bytes_per_sample
from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.pace import read_pace
from dsfactory.jobs.second_look import Look, look_again
from dsfactory.jobs.settings import RUNS, run_config
from dsfactory.jobs.summary import JobSummary
from dsfactory.runner.log import LOG
from dsfactory.runner.progress import Progress
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.trust.run import RunTrust

STAGES_MADE = ("prompts", "generate", "refine")
ENOUGH = 0.5
"""A class fails where a smaller share of its images is recognised, or kept."""

COST_OF = 1000
"""Images whose cost is reckoned."""


@dataclass(frozen=True)
class ClassTrial:
    """How a class went.

    Attributes:
        name: of the class.
        images: that were made.
        recognised: share of them that shows the class; None when nobody could tell.
        trust: median trust of their masks, by the weakest object of each; None without a mask.
        mirrored: mean IoU of masks with those of the mirror images; None where these cannot be read.
        kept: share of the images that has a mask.
        faults: why it fails; empty when it passes.
    """

    name: str
    images: int
    recognised: float | None
    trust: float | None
    mirrored: float | None
    kept: float
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """What a trial found.

    Attributes:
        run: its folder.
        model: what made the images.
        judge: who recognised them; empty for nobody.
        classes: in label order.
        seconds: per image, by stage.
        memory_gb: most memory while images were made.
        memory_of: ``"GPU"``, or ``"process"`` on a CPU.
        bytes: on the disk, per image.
        summary: what was made.
    """

    run: Path
    model: str
    judge: str
    classes: tuple[ClassTrial, ...]
    seconds: Mapping[str, float]
    memory_gb: float
    memory_of: str
    bytes: float
    summary: JobSummary

    @property
    def exit_code(self) -> int:
        """3 when a class fails, or an image; else 0."""
        return 3 if any(item.faults for item in self.classes) else self.summary.exit_code

    def as_json(self) -> dict[str, Any]:
        each = sum(self.seconds.values())
        return {
            "run": str(self.run),
            "model": self.model,
            "judge": self.judge,
            "classes": [asdict(item) for item in self.classes],
            "seconds_per_image": {name: round(value, 4) for name, value in self.seconds.items()},
            "memory_gb": round(self.memory_gb, 2),
            "memory_of": self.memory_of,
            "cost": {"images": COST_OF, "hours": round(each * COST_OF / 3600, 2), "bytes": round(self.bytes * COST_OF)},
            "exit_code": self.exit_code,
        }


def trial_job(request: Request, num: int, judge: str | None, progress: Progress) -> Trial:
    """Make a few images per class with their masks, and look at each a second time.

    Args:
        request: run (None for a folder below ``runs`` with ``trial`` in front), settings file, flags, and whether it is
            made again; the rest is not read.
        num: images per class.
        judge: a CLIP model that recognises in the model's place; None for the model itself.
        progress: who is told.

    Raises:
        UserError: bad input; nothing was written. Or the trial was made with other settings before.
    """
    request = replace(request, stages=STAGES_MADE, flags={**request.flags, "num": num}, name="trial")
    if request.run is None:
        place, _ = request.settle()
        request = replace(request, run=RUNS / f"trial-{place.name}")
    clip = None
    if judge is not None:  # what cannot be used is refused before anything is made
        from dsfactory.models.judge import Judge

        clip = Judge(judge, request.settle()[1].of(GenerateConfig).device)
    _reset_memory()
    summary = run_job(request, progress)
    memory, memory_of = _memory()
    run, config = Run.open(summary.run), run_config(summary.run)
    looks = look_again(run, config, clip, progress)
    pace = read_pace(run.path / LOG)
    trust = _trust(run)
    rows = [row for spec in run.finished("refine") for row in run.reader("refine", spec).rows]
    return Trial(
        run=run.path,
        model=config.of(GenerateConfig).model,
        judge=judge or (config.of(GenerateConfig).model if any(look.recognised is not None for look in looks) else ""),
        classes=tuple(_class(item.name, rows, looks, trust) for item in config.classes),
        seconds={name: pace.get(name, 0.0) for name in STAGES_MADE},
        memory_gb=memory,
        memory_of=memory_of,
        bytes=sum(bytes_per_sample(run, name) or 0.0 for name in STAGES_MADE),
        summary=summary,
    )


def _trust(run: Run) -> dict[str, float]:
    """By key, the trust in the mask of the class that an image was made for; nothing of images without one."""
    found: dict[str, float] = {}
    specs = run.finished("refine")
    judge = RunTrust.of(run, "refine", specs)
    for spec in specs if judge is not None else ():
        assert judge is not None
        pairs = zip(run.reader("generate", spec).records(), run.reader("refine", spec).records(), strict=True)
        for image, labels in pairs:
            if labels.row["status"] == "ok":
                first = judge.by_class(labels.row, {**image.files, **labels.files})[0]
                found |= {labels.key: first} if first is not None else {}
    return found


def _class(
    name: str, rows: Sequence[Mapping[str, Any]], looks: Sequence[Look], trust: Mapping[str, float]
) -> ClassTrial:
    own = [row for row in rows if row["class_name"] == name]
    seen = [look for look in looks if look.class_name == name]
    made = [row for row in own if row["status"] != "failed"]
    kept = [row for row in made if row["status"] == "ok"]
    told = [look.recognised for look in seen if look.recognised is not None]
    mirrored = [look.mirrored for look in seen if look.mirrored is not None]
    recognised = sum(told) / len(told) if told else None
    known = [trust[row["key"]] for row in kept if row["key"] in trust]
    share = len(kept) / len(own)
    faults = []
    if recognised is not None and recognised < ENOUGH:
        faults.append(f"{sum(told)} of {len(told)} images are recognised")
    if share < ENOUGH:
        faults.append(f"{len(kept)} of {len(own)} images have a mask")
    return ClassTrial(
        name=name,
        images=len(made),
        recognised=recognised,
        trust=median(known) if known else None,
        mirrored=mean(mirrored) if mirrored else None,
        kept=share,
        faults=tuple(faults),
    )


def _reset_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _memory() -> tuple[float, str]:
    """The most memory since the reset, in GB, and of what: of a process, since its start."""
    import torch

    if torch.cuda.is_available() and (used := torch.cuda.max_memory_allocated()):
        return used / 1e9, "GPU"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9, "process"
