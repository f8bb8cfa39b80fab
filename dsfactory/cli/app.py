"""Commands: parse, call, print. What they do is in ``jobs`` and in the stages' packages.

Heavy modules are imported inside the commands, so that ``--help`` answers at once.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dsfactory import __version__
from dsfactory.cli import options as o
from dsfactory.cli import output
from dsfactory.cli.commands.compare import compare
from dsfactory.cli.commands.config import config_app, init
from dsfactory.cli.commands.evaluate import evaluate
from dsfactory.cli.commands.importing import import_fixes
from dsfactory.cli.commands.judge import judge
from dsfactory.cli.commands.models import models_app
from dsfactory.cli.commands.prompts import prompts_app
from dsfactory.cli.commands.push import push
from dsfactory.cli.commands.report import report
from dsfactory.cli.commands.trial import PLACES, trial
from dsfactory.cli.commands.trust import trust_app
from dsfactory.cli.commands.view import view
from dsfactory.cli.lazy import DELIVER, IMPROVE, LOOK_AFTER, MAKE, FlagCommand, Group, flagged
from dsfactory.cli.places import whole_place
from dsfactory.cli.stage_command import stage_commands
from dsfactory.core.words import counted
from dsfactory.errors import DamagedShard, DsfactoryError, StopSignal
from dsfactory.runner.signals import stop_on_signals
from dsfactory.storage.atomic import discard_unfinished
from dsfactory.storage.remote import shown

# Typer carries its own click from 0.28 on and exports only the leaf of this class.
_UsageError: Any = typer.BadParameter.__base__


class _Commands(Group):
    """Those of the stages first."""

    def made(self) -> dict[str, FlagCommand]:
        return {
            **stage_commands(),
            "init": flagged("init", init, ("num", "generate.model"), LOOK_AFTER),
            "trial": flagged("trial", trial, PLACES, MAKE),
        }


app = typer.Typer(
    name="dsfactory",
    cls=_Commands,
    help="A synthetic dataset factory: class names in, a labelled segmentation dataset out.\n\n"
    "dsfactory run --classes dog,bird does everything; generate, refine and export are its steps.\n\n"
    "Exit codes: 0 done, 2 the input cannot be used, 3 finished but some samples failed or are damaged, "
    "4 another process holds the run, 5 stopped by a signal or a limit (the same command goes on), 1 a bug.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("import", rich_help_panel=IMPROVE)(import_fixes)


@app.command(rich_help_panel=DELIVER)
def export(
    run: o.RunPath = None, format: o.Format = "coco", out: o.ExportOut = None, val_share: o.ValShare = 0.1,
    test_share: o.TestShare = 0.0, classes: o.OfClasses = None, top: o.Top = None, size: o.Size = None,
    image_format: o.ImageFormat = None, copy: o.Copy = "copy", rle: o.Rle = False, keep_empty: o.KeepEmpty = False,
    min_trust: o.MinTrust = 0.0, no_provenance: o.NoProvenance = False, without: o.Without = None,
    no_splice: o.NoSplice = False, no_filter: o.NoFilter = False, selected: o.Selected = False,
    dry_run: o.DryRun = False, redo: o.Redo = False, as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Write the finished samples as a dataset that other tools read."""
    from dsfactory.jobs.choice import Choice
    from dsfactory.jobs.export import ExportOptions, export_job, plan_export

    path = _run_path(run)
    left_out = [*(without or []), *(["filter"] if no_filter else []), *(["splice"] if no_splice else [])]
    choice = Choice(tuple(name.strip() for name in classes.split(",")) if classes else (), top, size)
    options = ExportOptions(
        image_format, rle, left_out, keep_empty, copy, min_trust, selected, not no_provenance, test_share, choice
    )
    if dry_run:
        output.print_plan(plan_export(path, format, out, val_share, redo, options), as_json)
    summaries = export_job(path, format, out, val_share, redo, options)
    if as_json:
        print(json.dumps([item.as_json() for item in summaries]))
    elif not quiet:
        for item in summaries:
            print(output.describe_export(item))


app.command(rich_help_panel=DELIVER)(evaluate)
app.command(rich_help_panel=DELIVER)(compare)
app.command(rich_help_panel=DELIVER)(judge)
app.command(rich_help_panel=DELIVER)(push)
app.command(rich_help_panel=DELIVER)(report)
app.command(rich_help_panel=DELIVER)(view)


@app.command(rich_help_panel=LOOK_AFTER)
def verify(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="The folder (or s3://BUCKET/PATH) of a run or an export [default: the newest run under ./runs]",
            callback=whole_place,
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make exactly the broken shards of a run again, and what was made of them.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Read everything and compare it: checksums, rows, masks, and COCO and VOC with the run.

    Prints a line per fault and ends with exit code 3 if there is one. Changes nothing without --repair.
    """
    from dsfactory.runner.progress import choose_progress
    from dsfactory.verify import verify_path

    with choose_progress(as_json) as progress:
        found = verify_path(_run_path(path), progress, repair)
    output.print_findings(found, as_json)


@app.command(rich_help_panel=LOOK_AFTER)
def status(run: o.RunPath = None, as_json: o.Json = False) -> None:
    """What a run holds and how far it is. May be asked while the run is being made."""
    from dsfactory.jobs.status import status_of

    found = status_of(_run_path(run))
    if as_json:
        print(json.dumps(found))
        return
    sizes = f"{counted(found['samples'], 'sample')} in {counted(found['shards'], 'shard')}"
    print(f"{found['run']}: {', '.join(found['classes'])}; {sizes}")
    for stage in found["stages"]:
        print(f"  {stage['stage']:<9} {stage['samples']} of {stage['of']} finished{output.counts(stage)}")
        for line in stage["damaged"]:
            print(f"            damaged: {line}")
    if found["corrections"]:
        decided = "{keep} kept and {reject} rejected".format(**found["decisions"])
        print(f"  by hand   {counted(found['corrections'], 'sample')} corrected or decided on ({decided})")
    if found["exports"]:
        print(f"  exports   {', '.join(found['exports'])}")


@app.command(rich_help_panel=LOOK_AFTER)
def doctor(as_json: o.Json = False) -> None:
    """What this machine can do: torch, device, CRF backend, disk, models at hand."""
    from dsfactory.cli.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([item.__dict__ for item in findings]))
        return
    for item in findings:
        print(f"{'ok ' if item.fine else '-- '} {item.subject:<14} {item.text}")


app.add_typer(trust_app, name="trust", rich_help_panel=IMPROVE)
app.add_typer(config_app, name="config", rich_help_panel=LOOK_AFTER)
app.add_typer(prompts_app, name="prompts", rich_help_panel=LOOK_AFTER)
app.add_typer(models_app, name="models", rich_help_panel=LOOK_AFTER)


def _version(value: bool) -> None:
    if value:
        print(f"dsfactory {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _run_path(path: Path | None) -> Path:
    from dsfactory.core.run import newest_run

    return path if path is not None else newest_run(Path("runs"))


def main(arguments: list[str] | None = None, command: Callable[..., Any] = app) -> None:
    """Entry point of the console script; turns errors into one line and an exit code."""
    stop_on_signals()
    try:
        code = command(arguments, standalone_mode=False)
    except _UsageError as error:
        if not error.format_message():  # no arguments: the help was shown
            sys.exit(2)
        _fail(f"{error.format_message().replace('Value error, ', '')} (see --help)", 2)
    except StopSignal as error:
        discard_unfinished()
        _fail(f"stopped by {error}: {output.go_on(error.kept, sys.argv)}", error.exit_code)
    except DamagedShard as error:
        _fail(f"{error}: 'dsfactory verify RUN --repair' makes it again", error.exit_code)
    except DsfactoryError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int) -> None:
    print(f"dsfactory: {shown(output.printable(text))}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
