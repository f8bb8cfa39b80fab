"""A function per stage, made from the registry."""

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory.api.run import Run
from dsfactory.core.config import RunSettings
from dsfactory.core.registry import Entry
from dsfactory.stages import STAGES

if TYPE_CHECKING:
    from dsfactory.jobs.summary import JobSummary


def stage_function(entry: Entry) -> Callable[..., Run]:
    """A function that makes a stage, with its settings as keyword arguments.

    A source takes ``classes``, ``num``, ``seed``, ``shard_size`` and ``out`` as well; any other stage takes the run.
    """

    def make(*args: Any, **given: Any) -> Run:
        bound = signature.bind(*args, **given)
        return _make(entry, bound.arguments)

    signature = _signature(entry)
    make.__name__ = make.__qualname__ = entry.name
    make.__doc__ = _doc(entry)
    make.__signature__ = signature  # type: ignore[attr-defined]
    make.__annotations__ = {item.name: item.annotation for item in signature.parameters.values()} | {"return": Run}
    return make


_SHARED = {
    "redo": (bool, False),
    "workers": (int | None, None),
    "devices": (str | None, None),
    "budget": (str | None, None),
    "max_gb": (float | None, None),
    "quiet": (bool, False),
    "settings": (dict[str, Any] | None, None),
}
"""Arguments of every stage: their types and defaults."""


def _sections(entry: Entry) -> list[Entry]:
    """The stages whose settings a function takes: its own, and those of the inline stages that serve it."""
    return [*(STAGES.entries[name] for name in STAGES.facts(entry.name).serving), entry]


def _is_source(entry: Entry) -> bool:
    return STAGES.facts(entry.name).begins


def _signature(entry: Entry) -> inspect.Signature:
    plain, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    parameters: list[inspect.Parameter] = []
    if _is_source(entry):
        parameters += [inspect.Parameter("out", keyword, default=None, annotation=str | os.PathLike[str] | None)]
        for name, info in RunSettings.model_fields.items():
            kind: Any = Sequence[str] | dict[str, Sequence[str]] | None if name == "classes" else info.annotation
            parameters.append(inspect.Parameter(name, keyword, default=None, annotation=kind))
    else:
        run = Run | str | os.PathLike[str]
        parameters.append(inspect.Parameter("run", plain, annotation=run))
    for part in _sections(entry):
        for name, info in part.section.model_fields.items():
            parameters.append(inspect.Parameter(name, keyword, default=UNSET, annotation=info.annotation))
    for name, (shared, default) in _SHARED.items():
        parameters.append(inspect.Parameter(name, keyword, default=default, annotation=shared))
    return inspect.Signature(parameters, return_annotation=Run)


class _Unset:
    def __repr__(self) -> str:
        return "default"


UNSET = _Unset()
"""Stands for the default of a setting: that of the run, if it has one."""


def _doc(entry: Entry) -> str:
    lines = [(entry.kind.__doc__ or entry.name).strip().split("\n")[0], "", "Args:"]
    if _is_source(entry):
        lines.append(
            "    out: the run's folder; by default one that is named after the first argument, below ``runs``."
        )
        lines += [f"    {name}: {info.description}" for name, info in RunSettings.model_fields.items()]
    else:
        lines.append("    run: the run.")
    for part in _sections(entry):
        lines += [f"    {name}: {info.description}" for name, info in part.section.model_fields.items()]
    lines += [
        "    redo: make it again, even if it was made with other settings.",
        "    workers: processes that share the shards; by default this one makes them.",
        "    devices: CUDA devices, a process for each: ``0,1`` or ``all``.",
        "    budget: stop after this time, such as ``6h``, at a shard's end.",
        "    max_gb: stop before the run is larger than this.",
        "    quiet: show no progress.",
        "    settings: settings of other stages, such as ``{'refine': {'threshold': 0.5}}``.",
        "",
        "Returns:",
        "    The run.",
        "",
        "Raises:",
        "    UserError: the input cannot be used; the message says what to do.",
    ]
    return "\n".join(lines)


def _make(entry: Entry, given: dict[str, Any]) -> Run:
    from dsfactory.jobs.job import Request, run_job
    from dsfactory.jobs.settings import merge_settings
    from dsfactory.runner.executors import choose_engine
    from dsfactory.runner.limits import Limits
    from dsfactory.runner.progress import choose_progress

    flags: dict[str, Any] = {name: given[name] for name in RunSettings.model_fields if given.get(name) is not None}
    parts = _sections(entry)
    for part in parts:
        section = {name: given[name] for name in part.section.model_fields if given.get(name, UNSET) is not UNSET}
        flags[part.name] = section
    place = given.get("out") if _is_source(entry) else given["run"]
    request = Request(
        stages=tuple(part.name for part in parts),
        run=Path(place) if place is not None else None,
        flags=merge_settings(flags, given.get("settings") or {}),
        redo=given.get("redo", False),
        limits=Limits(given.get("budget"), None, given.get("max_gb")),
        engine=choose_engine(given.get("workers"), given.get("devices")),
    )
    with choose_progress(given.get("quiet", False)) as progress:
        summary: JobSummary = run_job(request, progress)
    return Run(summary.run)
