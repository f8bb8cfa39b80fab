"""Judge the labels of a run: ``dsfactory filter``."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dsfactory.core.run import CONFIG, Run
from dsfactory.dataset.labels import FILTERED, REFINED, check_labels
from dsfactory.errors import UserError
from dsfactory.jobs.config import RunConfig, resolve_config
from dsfactory.jobs.job import JobSummary, open_locked, outcome_of, save_config
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import check_stage, run_stage, upstream_fingerprint
from dsfactory.runner.signals import check_stop
from dsfactory.storage.atomic import write_atomic
from dsfactory.storage.disk import KEPT, disk_errors

if TYPE_CHECKING:
    from dsfactory.stages.filter.plan import Plan
    from dsfactory.stages.filter.rules import Verdict
    from dsfactory.stages.filter.scores import Score


HARDLY_LEARNT = 0.3
"""Median IoU of a class with the out-of-fold predictions below which the user is told."""


@dataclass
class FilterSummary(JobSummary):
    """What filter decided.

    Attributes:
        judged: samples with a mask, by their first class.
        dropped: how many of them go, by their first class.
        iou: by class, the median IoU of labels and out-of-fold predictions: how well the networks learnt it.
        reasons: how many go for which reason, a key of :data:`dsfactory.stages.filter.rules.REASONS`.
        dry_run: nothing was written into the run.
        pictures: where those that go are to be seen; None when no picture was asked for or none goes.
    """

    judged: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    iou: dict[str, float] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    dry_run: bool = False
    pictures: Path | None = None

    def as_json(self) -> dict[str, Any]:
        classes = {
            name: {"judged": count, "dropped": self.dropped[name], "iou": self.iou.get(name)}
            for name, count in self.judged.items()
        }
        pictures = str(self.pictures) if self.pictures else None
        return {
            **super().as_json(),
            "dry_run": self.dry_run,
            "judged": self.judged.total(),
            "dropped": self.dropped.total(),
            "reasons": dict(self.reasons),
            "classes": classes,
            "pictures": pictures,
        }


def filter_job(
    run_path: Path,
    config_file: Path | None,
    flags: Mapping[str, Any],
    progress: Progress,
    redo: bool = False,
    pictures: Path | None = None,
) -> FilterSummary:
    """Cross-validate a run's labels, drop samples, and void pixels. Draws nothing, deletes nothing.

    A run that has grown since is judged again as a whole, for its new samples say something about the old.

    Args:
        run_path: the run's directory.
        config_file: a ``run.yaml``, or None.
        flags: nested settings from the command line; they win over the file.
        progress: who is told.
        redo: judge again if it was done with other settings. Networks that these do not concern are kept.
        pictures: file for a picture of what goes, worst first.

    Raises:
        UserError: bad input; nothing was written.
        RunLocked: another process works on the run.
    """
    _check_surroundings(pictures)
    with disk_errors(run_path, KEPT), open_locked(run_path) as run, run_log(run_path, "filter") as ended:
        config = resolve_config(run_path / CONFIG, config_file, flags)
        plan = _plan(run, config, progress)
        if _is_outdated(run, config, plan, redo, progress):
            run.discard_stage(FILTERED)
        # Before the work: what a signal leaves is finished with these settings.
        save_config(run, config)
        from dsfactory.stages.filter.scoring import judge_samples
        from dsfactory.stages.filter.stage import FilterStage

        folder = run.make_stage_folder(FILTERED)
        note = judge_samples(plan, folder, _Steps(progress))
        stage = FilterStage(config.filter, run, note.judged)
        done = run_stage(run, stage, progress)
        summary = FilterSummary(run_path, config.generate.model, [done])
        _conclude(summary, plan, folder, pictures, progress)
        ended |= outcome_of(summary)
        return summary


def filter_dry_run(
    run_path: Path, config_file: Path | None, flags: Mapping[str, Any], progress: Progress, pictures: Path | None
) -> FilterSummary:
    """What :func:`filter_job` would decide, without a byte written into the run; arguments as there.

    Uses the networks that are in the run if they are of these settings; else they are trained and thrown away.
    """
    from dsfactory.stages.filter.note import matching_note
    from dsfactory.stages.filter.scoring import judge_samples

    _check_surroundings(pictures)
    run = Run.open(run_path)
    config = resolve_config(run_path / CONFIG, config_file, flags)
    plan = _plan(run, config, progress)
    summary = FilterSummary(run_path, config.generate.model, dry_run=True)
    folder = run.stage_folder(FILTERED)
    with TemporaryDirectory(prefix="dsfactory-filter-") as temporary:
        if matching_note(plan, folder) is None:
            folder = Path(temporary)
            judge_samples(plan, folder, _Steps(progress))
        _conclude(summary, plan, folder, pictures, progress)
    return summary


def _check_surroundings(pictures: Path | None) -> None:
    missing = [name for name in ("cleanlab", "imagehash") if find_spec(name) is None]
    if missing:
        raise UserError(f"filter needs {' and '.join(missing)}: pip install 'dsfactory[filter]'")
    if pictures is not None and not pictures.absolute().parent.is_dir():
        raise UserError(f"--pictures {pictures}: there is no folder {pictures.parent}")


def _plan(run: Run, config: RunConfig, progress: Progress) -> "Plan":
    """What is to be judged.

    Raises:
        UserError: there are no masks, or too few.
    """
    from dsfactory.stages.filter.plan import Plan

    check_labels(run, REFINED)
    plan = Plan.of_run(run, config.filter)
    if len(plan.samples) < config.filter.folds:
        raise UserError(
            f"{run.path} has {len(plan.samples)} samples with a mask, fewer than the {config.filter.folds} folds: "
            "draw more with 'dsfactory generate', or use fewer --folds"
        )
    if len(plan.classes) == 1:
        progress.note(f"filter: {plan.classes[0]} is the only class: the folds tell it from background only")
    left = run.total - sum(len(spec) for spec in run.finished(REFINED))
    if left:
        progress.note(f"filter: {left} samples are not refined yet: filter again when they are")
    return plan


def _is_outdated(run: Run, config: RunConfig, plan: "Plan", redo: bool, progress: Progress) -> bool:
    """Whether verdicts that are there have to go.

    Raises:
        UserError: they were made with other settings and ``redo`` is off.
    """
    from dsfactory.stages.filter.note import Judged
    from dsfactory.stages.filter.stage import FilterStage

    before = run.stage_state(FILTERED)
    if before is None or redo:
        return redo
    now = Judged(len(plan.samples), plan.judged, "")
    then = Judged(*(before.identity.get(name) for name in ("samples", "judged", "scores")))  # type: ignore[arg-type]
    # Compared as if the samples were the same: settings first, for those the user has to decide about.
    stage = FilterStage(config.filter, run, then)
    check_stage(run, stage, upstream_fingerprint(run, stage))
    if (now.samples, now.judged) == (then.samples, then.judged):
        return False
    progress.note(
        f"filter: the run has {now.samples} samples with masks, {then.samples} when it was filtered: "
        "all are judged again, for the new ones say something about the old"
    )
    return True


class _Steps:
    """Hands progress on, and lets a signal stop a training."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._name = ""

    def __call__(self, name: str, done: int, total: int) -> None:
        check_stop()
        if name != self._name:
            self._name = name
            self._progress.begin(name, total, done)
        else:
            self._progress.advance(name)


def _conclude(summary: FilterSummary, plan: "Plan", folder: Path, pictures: Path | None, progress: Progress) -> None:
    """Count what was decided, show it, and say where the networks know too little to decide much."""
    from dsfactory.stages.filter.note import SCORES
    from dsfactory.stages.filter.rules import decide
    from dsfactory.stages.filter.scores import read_scores

    scores = read_scores(folder / SCORES)
    verdicts = decide(scores, plan.config)
    found = defaultdict(list)
    for score in scores:
        for name, iou in zip(score.classes, score.iou, strict=True):
            if iou is not None:
                found[name].append(iou)
    summary.iou = {name: round(median(found[name]), 3) for name in plan.classes if found[name]}
    unknown = [name for name, iou in summary.iou.items() if iou < HARDLY_LEARNT]
    if unknown:
        progress.note(
            f"filter: the networks hardly learnt {', '.join(unknown)} and judge little there: "
            "draw more images, or train longer (--set filter.segment.steps=…)"
        )
    for score, verdict in zip(scores, verdicts, strict=True):
        summary.judged[score.classes[0]] += 1
        if not verdict.kept:
            summary.dropped[score.classes[0]] += 1
            summary.reasons[verdict.reason] += 1
    if pictures is not None and summary.dropped:
        summary.pictures = pictures
        _draw(pictures, plan, scores, verdicts)


def _draw(path: Path, plan: "Plan", scores: "list[Score]", verdicts: "list[Verdict]") -> None:
    from dsfactory.stages.filter.montage import draw_dropped

    with disk_errors(path, "the verdicts stand"):
        write_atomic(path, draw_dropped(plan, scores, verdicts))
