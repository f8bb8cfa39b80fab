"""Which stage's masks count: those of ``filter`` once it has judged the run, else those of ``refine``."""

from dsfactory.core.run import Run
from dsfactory.errors import UserError

DRAWN, REFINED, FILTERED = "generate", "refine", "filter"


def labels_stage(run: Run) -> str:
    """The stage whose masks export, report, evaluate and splice read.

    Returns:
        ``"filter"`` when that stage has finished shards, else ``"refine"``.
    """
    return FILTERED if run.finished(FILTERED) else REFINED


def check_labels(run: Run, stage: str) -> None:
    """Make sure that a run's masks belong to its images, and filter's verdicts to its masks.

    Args:
        run: the run.
        stage: ``"refine"`` or ``"filter"``, as :func:`labels_stage` gives it.

    Raises:
        UserError: something was made again or added since; says which command follows.
    """
    drawn, refined = run.stage_state(DRAWN), run.stage_state(REFINED)
    if drawn is None or refined is None or not run.finished(REFINED):
        raise UserError(f"{run.path} has no masks yet: run 'dsfactory refine {run.path}' first")
    if refined.upstream != drawn.fingerprint:
        raise UserError(f"{run.path} was drawn again since: run 'dsfactory refine {run.path} --redo' first")
    if stage == REFINED:
        return
    filtered = run.stage_state(FILTERED)
    if filtered is None or filtered.upstream != refined.fingerprint:
        raise UserError(f"{run.path} was refined again since: run 'dsfactory filter {run.path} --redo' first")
    judged, there = len(run.finished(FILTERED)), len(run.finished(REFINED))
    if judged < there:
        raise UserError(
            f"{run.path}: filter has judged {judged} of {there} shards: run 'dsfactory filter {run.path}' first"
        )
