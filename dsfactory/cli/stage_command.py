"""A command per stage, made from the registry; and ``run``, which makes several stages and exports."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from dsfactory.cli import options as o
from dsfactory.cli import output
from dsfactory.cli.lazy import IMPROVE, MAKE, FlagCommand
from dsfactory.stages import STAGES

if TYPE_CHECKING:
    from dsfactory.cli.flags import Flags
    from dsfactory.formats.writer import Copy
    from dsfactory.jobs.job import Request
    from dsfactory.jobs.summary import JobSummary

EXPORT = "export"
BASE = ("generate", "refine")
"""What ``run`` makes, with what serves it; later stages are switched on."""

RUN_HELP = """Do everything: generate, refine, export. Images are refined while the next ones are generated.

Later stages join with their switch, such as --filter; their settings are set with --set. Given again, the command goes
on where it was stopped; a larger --num adds images and changes none."""


@dataclass(frozen=True)
class Command:
    """What a command makes.

    Attributes:
        name: of the command.
        stages: names of the stages, in order.
        sections: those of them whose flags it takes; of two flags with one name the later is taken.
        begins: it begins a run, or goes on with one; otherwise the run has to be there.
        exports: an export follows.
        switches: stages that the user may add.
        given: its images are the user's own.
    """

    name: str
    stages: tuple[str, ...]
    sections: tuple[str, ...]
    begins: bool
    exports: bool
    switches: tuple[str, ...] = ()
    given: bool = False

    @classmethod
    def of(cls, name: str) -> "Command":
        """The command of a stage, or ``run``."""
        if name != "run":
            facts = STAGES.facts(name)
            following = (stage for stage in facts.then if stage != EXPORT)
            own = (*facts.serving, name)
            return cls(name, (*own, *following), own, facts.begins, EXPORT in facts.then, given=facts.given)
        base = (*STAGES.facts(BASE[0]).serving, *BASE)
        later = {stage: STAGES.facts(stage) for stage in STAGES.names[STAGES.names.index(BASE[-1]) + 1 :]}
        switches = tuple(stage for stage, facts in later.items() if not (facts.begins or facts.inline))
        return cls(name, base, base, True, True, switches)

    @property
    def appends(self) -> bool:
        """Whether it can add to what a run has: a stage that makes a number of images per class."""
        return self.name != "run" and "num" in STAGES.entries[self.name].section.also

    def flags(self) -> "Flags":
        """Its flags that stand for settings."""
        from dsfactory.cli.flags import Flags

        also = [place for name in self.sections for place in STAGES.entries[name].section.also if self.begins]
        return Flags([*also, *self.sections, *(["seed", "shard_size"] if self.begins else [])], classes=self.begins)

    def function(self) -> Callable[..., None]:
        """The command's function, with parameters for Typer."""
        from dsfactory.cli.flags import parameter, taking

        flags = self.flags()
        positional = parameter("out", o.Out) if self.begins else parameter("run", o.RunPath)
        shared = get_type_hints(o.Shared, include_extras=True)
        export = [parameter("format", o.RunFormat), parameter("val_share", o.ValShare, 0.1)]
        if self.given:
            export.append(parameter("copy", o.Copy, "copy"))
        parameters = [
            positional,
            *flags.parameters(),
            *([parameter("append", o.Append)] if self.appends else []),
            *(parameter(_key(name), _switch(name), False) for name in self.switches),
            *(export if self.exports else []),
            *(parameter(item.name, shared[item.name], item.default) for item in fields(o.Shared)),
        ]
        return taking(parameters, lambda given: self._work(flags, given))

    def _work(self, flags: "Flags", given: dict[str, Any]) -> None:
        """Do what the command is asked for, and end it."""
        from dsfactory.core.run import newest_run
        from dsfactory.jobs.export import check_formats
        from dsfactory.jobs.job import Request, run_job
        from dsfactory.jobs.plan import plan_job
        from dsfactory.jobs.settings import read_run_file
        from dsfactory.runner.progress import choose_progress

        shared = o.Shared.taken(given)
        file = read_run_file(shared.config)
        formats = given.get("format") or ",".join(file.formats) or "coco"
        place = given["out"] if self.begins else given["run"] or newest_run(Path("runs"))
        request = Request(
            stages=(*self.stages, *(name for name in self.switches if given[_key(name)])),
            run=place,
            config_file=shared.config,
            flags=flags.settings(given),
            redo=shared.redo,
            defaults=shared.defaults,
            append=given.get("append"),
            limits=shared.limits(file.budget),
            engine=shared.executor(),
            formats=tuple(check_formats(formats)) if self.exports else (),
            name=self.name,
        )
        with choose_progress(shared.as_json, shared.quiet) as progress:
            if shared.dry_run:
                output.print_plan(plan_job(request, progress), shared.as_json)
            summary = run_job(request, progress)
        if self.exports:
            _export(summary, request, shared, given["val_share"], given.get("copy", "copy"))
        output.print_job(summary, shared.as_json, shared.quiet, _following(request, summary.run, exported=False))


def _export(summary: "JobSummary", request: "Request", shared: o.Shared, val_share: float, copy: "Copy") -> None:
    """Export a run that is finished, and end the command."""
    from dsfactory.errors import UserError
    from dsfactory.jobs.export import ExportOptions, export_job

    # What was made now belongs into the export.
    redo = shared.redo or any(stage.made for stage in summary.stages)
    formats = ",".join(request.formats)
    try:
        exports = (
            [] if summary.stopped else export_job(summary.run, formats, None, val_share, redo, ExportOptions(copy=copy))
        )
    except UserError:
        for line in summary.lines:  # why nothing is left to export
            typer.echo(f"dsfactory: {line}", err=True)
        raise
    if shared.as_json:
        print(json.dumps({**summary.as_json(), "exports": [item.as_json() for item in exports]}))
        raise typer.Exit(summary.exit_code)
    for item in exports if not shared.quiet else ():
        print(output.describe_export(item))
    output.print_job(summary, False, shared.quiet, _following(request, summary.run, exported=True))


def _following(request: "Request", run: Path, exported: bool) -> list[tuple[str, str]]:
    """What a person does next, and what for: make labels; or look at them, have them judged, and export them."""
    from dsfactory.core.stage import Kind, Role

    offered = {role for kind in request.kinds for role in kind.writes.roles}
    if Role.LABEL not in offered and any(kind.kind is Kind.SOURCE for kind in request.kinds):
        labelers = (kind for kind in STAGES if kind.kind is Kind.LABELER and {*kind.reads} <= offered)
        return [(f"{kind.name} {run}", "") for kind in labelers][:1]
    found = [(f"report {run}", "a page to look at")]
    if not any(kind.kind in (Kind.JUDGE, Kind.COMPOSER) for kind in request.kinds):
        judges = [kind for kind in STAGES if kind.kind is Kind.JUDGE and Role.LABEL in kind.writes.roles]
        found += [(f"{kind.name} {run}", "leaves out what is doubtful") for kind in judges]
    return found if exported else [*found, (f"export {run} --format coco", "a dataset for other tools")]


def _key(stage: str) -> str:
    return stage.replace("-", "_")


def _switch(stage: str) -> Any:
    """The option by which a stage joins ``run``."""
    about = _about(stage).split("\n\n")[0]
    option = typer.Option(f"--{stage}", help=f"Then {stage}: {about}", rich_help_panel="What")
    return Annotated[bool, option]


def _about(stage: str) -> str:
    """What a stage does: the text of its package, or of its class where another package brings it."""
    entry = STAGES.entries[stage]
    module = import_module(entry.stage.partition(":")[0].rpartition(".")[0]) if not entry.package else entry.kind
    return inspect.cleandoc(module.__doc__ or "")


def stage_commands() -> dict[str, FlagCommand]:
    """``run``, and a command per stage that has one. Plug-ins say what they do when they are asked for help."""
    made = {"run": FlagCommand("run", lambda: RUN_HELP, lambda: Command.of("run").function(), MAKE)}
    for name, entry in STAGES.entries.items():
        if not entry.facts.inline:
            panel = MAKE if entry.facts.begins else IMPROVE
            made[name] = FlagCommand(name, partial(_about, name), partial(_function, name), panel)
    return made


def _function(stage: str) -> Callable[..., None]:
    return Command.of(stage).function()
