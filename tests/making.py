"""Make stages of a run in this process, as the commands do."""

from pathlib import Path
from typing import Any

from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.plan import Plan, plan_job
from dsfactory.jobs.summary import JobSummary
from dsfactory.runner.progress import Progress, Silent

GENERATE = ("prompts", "generate")
RUN = (*GENERATE, "refine")


def make(stages: str | tuple[str, ...], run: Path | None, flags: Any = None, /, progress: Progress | None = None,
         **more: Any) -> JobSummary:  # fmt: skip
    """Make one stage, or several; ``more`` is of the :class:`Request`."""
    return run_job(_request(stages, run, flags, more), progress or Silent())


def planned(stages: str | tuple[str, ...], run: Path | None, flags: Any = None, /, **more: Any) -> Plan:
    """What :func:`make` would do."""
    return plan_job(_request(stages, run, flags, more), Silent())


def _request(stages: str | tuple[str, ...], run: Path | None, flags: Any, more: dict[str, Any]) -> Request:
    return Request((stages,) if isinstance(stages, str) else stages, run, flags=flags or {}, **more)
