"""What a command did to a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsfactory.runner.limits import Stop
from dsfactory.runner.summary import StageSummary
from dsfactory.storage.disk import KEPT


@dataclass
class JobSummary:
    """What a command did to a run.

    Attributes:
        run: the run's directory.
        model: who made the images, or looked at them.
        stages: one summary per stage that was looked at, in order.
        given: the images are somebody's own.
        kept: what the user has of a run that a limit stopped.
        lines: what stages have to say at their end.
        facts: the same as JSON values.
    """

    run: Path
    model: str = ""
    stages: list[StageSummary] = field(default_factory=list)
    given: bool = False
    kept: str = KEPT
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

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
            **self.facts,
        }

    def as_log(self) -> Mapping[str, Any]:
        """What the run's log says at the end of the job."""
        made = {stage.stage: stage.made for stage in self.stages}
        stopped = {"stopped": self.stopped.reason} if self.stopped else {}
        return {"exit_code": self.exit_code, "made": made, **stopped}
