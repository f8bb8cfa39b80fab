"""What the filter says at its end: how many samples go, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dsfactory.core.run import Run
from dsfactory.core.stage import Conclusion, Reporter
from dsfactory.stages.filter.copies import copies_of, read_copies
from dsfactory.stages.filter.files import SCORES
from dsfactory.stages.filter.montage import draw_dropped
from dsfactory.stages.filter.note import matching_note
from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.rules import REASONS, Norms, decide
from dsfactory.stages.filter.scores import read_scores
from dsfactory.stages.filter.scoring import judge_samples
from dsfactory.storage.atomic import write_atomic
from dsfactory.storage.disk import disk_errors


def preview_verdicts(plan: Plan, run: Run, name: str, images: str, report: Reporter) -> Conclusion:
    """What would be decided.

    Uses the networks that are in the run if they are of these settings. Else they are trained, and kept in the run for
    the work itself; where verdicts by other networks are there, which would lose them, these are thrown away.

    Args:
        plan: what is judged.
        run: the run.
        name: the filter's folder in it.
        images: folder of the stage that made the images.
        report: told about progress.

    Raises:
        RunLocked: networks are to be kept, and another process works on the run.
    """
    folder = run.stage_folder(name)
    copies = _copies(plan, run, images, folder, report)
    if matching_note(plan, folder) is not None:
        return conclude_verdicts(plan, folder, "would be dropped", copies)
    if run.stage_state(name) is None:
        with run.lock():
            judge_samples(plan, run.make_stage_folder(name), report)
        return replace(conclude_verdicts(plan, folder, "would be dropped", copies), kept="the networks of filter")
    with TemporaryDirectory(prefix="dsfactory-filter-") as temporary:
        judge_samples(plan, Path(temporary), report)
        return conclude_verdicts(plan, Path(temporary), "would be dropped", copies)


def _copies(plan: Plan, run: Run, images: str, folder: Path, report: Reporter) -> Mapping[str, str]:
    """What is a copy of an image that is to be avoided, without writing anything."""
    if plan.config.avoid is None:
        return {}
    found = read_copies(folder, plan)
    return copies_of(plan, run, images, report, keep=False) if found is None else found


def conclude_verdicts(
    plan: Plan, folder: Path, verb: str = "are dropped", copies: Mapping[str, str] | None = None
) -> Conclusion:
    """Count what was decided, show it, and say where the networks know too little to decide much.

    Args:
        plan: what was judged.
        folder: that holds the scores.
        verb: what happens to a sample that is not kept.
        copies: what is a copy of an image that is to be avoided; None for what the folder says.
    """
    scores = read_scores(folder / SCORES)
    if copies is None:
        copies = read_copies(folder, plan) or {}
    verdicts = decide(scores, plan.config, copies)
    norms = Norms.of(scores)
    learnt = {name: round(norms.learnt[name], 3) for name in plan.classes if name in norms.learnt}
    judged = Counter(score.classes[0] for score in scores)
    goes = [(score, verdict) for score, verdict in zip(scores, verdicts, strict=True) if not verdict.kept]
    dropped = Counter(score.classes[0] for score, _ in goes)
    reasons = Counter(verdict.reason for _, verdict in goes)
    lines = [f"{dropped.total()} of {judged.total()} samples with a mask {verb}"]
    lines += [f"  {count:>6}  {reason:<10} {REASONS[reason]}" for reason, count in reasons.most_common()]
    for name, count in judged.items():
        known = f" (median IoU {learnt[name]:.2f})" if name in learnt else ""
        lines.append(f"  {name}: {count - dropped[name]} of {count} kept{known}")
    pictures = Path(plan.config.pictures) if plan.config.pictures and dropped else None
    if pictures is not None:
        with disk_errors(pictures, "the verdicts stand"):
            write_atomic(pictures, draw_dropped(plan, scores, verdicts))
        lines.append(f"those that go, worst first: {pictures}")
    classes = {
        name: {"judged": count, "dropped": dropped[name], "iou": learnt.get(name)} for name, count in judged.items()
    }
    facts = {
        "judged": judged.total(),
        "dropped": dropped.total(),
        "reasons": dict(reasons),
        "classes": classes,
        "pictures": str(pictures) if pictures else None,
    }
    unknown = [name for name in learnt if name in norms.hardly_learnt]
    notes = (
        f"filter: the networks hardly learnt {', '.join(unknown)} and have no say there: "
        "draw more images, or train longer (--set filter.segment.steps=…)"
    ) if unknown else ""  # fmt: skip
    return Conclusion(tuple(lines), facts, (notes,) if notes else ())
