"""Commands: parse, call, print. What they do is in ``engine`` and the stages' packages.

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
from dsfactory.cli.commands.annotate import annotate as annotate_command
from dsfactory.cli.commands.config import config_app
from dsfactory.cli.commands.config import init as init_command
from dsfactory.cli.commands.evaluate import evaluate as evaluate_command
from dsfactory.cli.commands.filter import filter_command
from dsfactory.cli.commands.flags import generate_flags, refine_flags
from dsfactory.cli.commands.importing import import_fixes as import_command
from dsfactory.cli.commands.prompts import prompts_app
from dsfactory.cli.commands.report import report as report_command
from dsfactory.cli.commands.splice import splice as splice_command
from dsfactory.cli.commands.view import view as view_command
from dsfactory.cli.places import whole_place
from dsfactory.errors import DamagedShard, DsfactoryError, StopSignal
from dsfactory.runner.signals import stop_on_signals
from dsfactory.storage.atomic import discard_unfinished
from dsfactory.storage.remote import shown

# Typer carries its own click from 0.28 on and exports only the leaf of this class.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="dsfactory",
    help="A synthetic dataset factory: class names in, a labelled segmentation dataset out.\n\n"
    "dsfactory run --classes dog,bird does everything; generate, refine and export are its steps.\n\n"
    "Exit codes: 0 done, 2 the input cannot be used, 3 finished but some samples failed or are damaged, "
    "4 another process holds the run, 5 stopped by a signal or a limit (the same command goes on), 1 a bug.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # the default mode takes "[default: 100]" for markup and drops it
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="The models that can draw.", no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(config_app, name="config")
app.add_typer(prompts_app, name="prompts")
app.add_typer(models_app, name="models")


@app.command()
def generate(
    classes: o.Classes = None, classes_file: o.ClassesFile = None, num: o.Num = None, append: o.Append = None,
    model: o.Model = None, out: o.Out = None, config: o.Config = None, seed: o.Seed = None, corpus: o.Corpus = None,
    column: o.Column = None, objects: o.Objects = None, style: o.Style = None, scene: o.Scene = None,
    weather: o.Weather = None, negative_prompt: o.NegativePrompt = None, width: o.Width = None,
    height: o.Height = None, steps: o.Steps = None, guidance: o.Guidance = None, device: o.Device = None,
    batch_size: o.BatchSize = None, shard_size: o.ShardSize = None, setting: o.Set = None, budget: o.Budget = None,
    until: o.Until = None, max_gb: o.MaxGb = None, workers: o.Workers = None, devices: o.Devices = None,
    engine: o.Engine = "local",
    address: o.Address = None, dry_run: o.DryRun = False, redo: o.Redo = False, as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Find captions and draw images, keeping what attention says about every class.

    A run that was killed or stopped goes on with the same command; a larger --num adds images and changes none.
    """
    from dsfactory.jobs.dry_runs import estimate_generate
    from dsfactory.jobs.job import generate_job
    from dsfactory.runner.executors import choose_engine
    from dsfactory.runner.limits import Limits
    from dsfactory.runner.progress import choose_progress

    flags = generate_flags(locals())
    limits = Limits(budget, until, max_gb)
    chosen = choose_engine(workers, devices, engine, address)
    with choose_progress(as_json or quiet) as progress:
        if dry_run:
            output.print_estimate(estimate_generate(out, config, flags, progress, redo, append, engine=chosen), as_json)
        summary = generate_job(out, config, flags, progress, redo, append, limits, chosen)
    output.print_job(summary, as_json, quiet, f"next: dsfactory refine {summary.run}")


@app.command()
def refine(
    run: o.RunPath = None, config: o.Config = None, threshold: o.Threshold = None, crf: o.Crf = None,
    affinity: o.Affinity = None, setting: o.Set = None, budget: o.Budget = None, until: o.Until = None,
    max_gb: o.MaxGb = None, workers: o.Workers = None, engine: o.Engine = "local", address: o.Address = None,
    dry_run: o.DryRun = False, redo: o.Redo = False, as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Turn the evidence of a run into masks. Needs no GPU and draws nothing again."""
    from dsfactory.jobs.dry_runs import estimate_refine
    from dsfactory.jobs.job import refine_job
    from dsfactory.runner.executors import choose_engine
    from dsfactory.runner.limits import Limits
    from dsfactory.runner.progress import choose_progress

    path = _run_path(run)
    flags = refine_flags(locals())
    limits = Limits(budget, until, max_gb)
    chosen = choose_engine(workers, None, engine, address)
    if dry_run:
        output.print_estimate(estimate_refine(path, config, flags, redo, chosen), as_json)
    with choose_progress(as_json or quiet) as progress:
        summary = refine_job(path, config, flags, progress, redo, limits, chosen)
    output.print_job(summary, as_json, quiet, f"next: dsfactory export {path} --format coco")


app.command("filter")(filter_command)
app.command("splice")(splice_command)
app.command("init")(init_command)
app.command("annotate")(annotate_command)
app.command("evaluate")(evaluate_command)
app.command("report")(report_command)
app.command("view")(view_command)
app.command("import")(import_command)


@app.command()
def export(
    run: o.RunPath = None, format: o.Format = "coco", out: o.ExportOut = None, val_share: o.ValShare = 0.1,
    image_format: o.ImageFormat = None, rle: o.Rle = False, no_splice: o.NoSplice = False,
    no_filter: o.NoFilter = False, dry_run: o.DryRun = False, redo: o.Redo = False, as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Write the finished samples as a dataset that other tools read."""
    from dsfactory.jobs.dry_runs import estimate_export
    from dsfactory.jobs.export import export_job

    if dry_run:
        found = estimate_export(_run_path(run), format, out, val_share, redo, image_format, rle, not no_splice,
                                not no_filter)  # fmt: skip
        output.print_estimate(found, as_json)
    summaries = export_job(_run_path(run), format, out, val_share, redo, image_format=image_format, rle=rle,
                           splice=not no_splice, filtered=not no_filter)  # fmt: skip
    if as_json:
        print(json.dumps([item.as_json() for item in summaries]))
    elif not quiet:
        for item in summaries:
            print(output.describe_export(item))


@app.command("run")
def run_all(
    classes: o.Classes = None, classes_file: o.ClassesFile = None, num: o.Num = None, model: o.Model = None,
    out: o.Out = None, config: o.Config = None, seed: o.Seed = None, corpus: o.Corpus = None, column: o.Column = None,
    objects: o.Objects = None, style: o.Style = None, scene: o.Scene = None, weather: o.Weather = None,
    negative_prompt: o.NegativePrompt = None, width: o.Width = None, height: o.Height = None, steps: o.Steps = None,
    guidance: o.Guidance = None, device: o.Device = None, batch_size: o.BatchSize = None,
    shard_size: o.ShardSize = None, threshold: o.Threshold = None, crf: o.Crf = None, affinity: o.Affinity = None,
    setting: o.Set = None,
    format: o.Format = "coco", val_share: o.ValShare = 0.1, budget: o.Budget = None, until: o.Until = None,
    max_gb: o.MaxGb = None, workers: o.Workers = None, devices: o.Devices = None, engine: o.Engine = "local",
    address: o.Address = None, dry_run: o.DryRun = False, redo: o.Redo = False, as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Do everything: generate, refine, export. Images are refined while the next ones are drawn."""
    from dsfactory.jobs.config import merge_settings
    from dsfactory.jobs.dry_runs import estimate_generate
    from dsfactory.jobs.export import check_formats, export_job
    from dsfactory.jobs.job import generate_job
    from dsfactory.runner.executors import choose_engine
    from dsfactory.runner.limits import Limits
    from dsfactory.runner.progress import choose_progress

    given = locals()
    formats = check_formats(format)
    limits = Limits(budget, until, max_gb)
    flags = merge_settings(generate_flags(given), refine_flags(given))
    chosen = choose_engine(workers, devices, engine, address)
    with choose_progress(as_json or quiet) as progress:
        if dry_run:
            found = estimate_generate(out, config, flags, progress, redo, None, tuple(formats), chosen)
            output.print_estimate(found, as_json)
        summary = generate_job(out, config, flags, progress, redo, None, limits, chosen, refine=True)
    exports = [] if summary.stopped else export_job(summary.run, format, None, val_share, redo)
    if as_json:
        print(json.dumps({**summary.as_json(), "exports": [item.as_json() for item in exports]}))
        raise typer.Exit(summary.exit_code)
    for item in exports if not quiet else ():
        print(output.describe_export(item))
    output.print_job(summary, False, quiet, "")


@app.command()
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


@app.command()
def status(run: o.RunPath = None, as_json: o.Json = False) -> None:
    """What a run holds and how far it is. May be asked while the run is being made."""
    from dsfactory.jobs.job import status_of

    found = status_of(_run_path(run))
    if as_json:
        print(json.dumps(found))
        return
    print(f"{found['run']}: {', '.join(found['classes'])}; {found['samples']} samples in {found['shards']} shards")
    for stage in found["stages"]:
        print(f"  {stage['stage']:<9} {stage['samples']} of {stage['of']} finished{output.counts(stage)}")
        for line in stage["damaged"]:
            print(f"            damaged: {line}")
    if found["fixes"]:
        print(f"  fixes     {found['fixes']} samples mended by hand")
    if found["exports"]:
        print(f"  exports   {', '.join(found['exports'])}")


@app.command()
def doctor(as_json: o.Json = False) -> None:
    """What this machine can do: torch, device, CRF backend, disk, models at hand."""
    from dsfactory.cli.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([item.__dict__ for item in findings]))
        return
    for item in findings:
        print(f"{'ok ' if item.fine else '-- '} {item.subject:<14} {item.text}")


@models_app.command("list")
def models_list(as_json: o.Json = False) -> None:
    """The presets, and which of them are on this machine."""
    from dsfactory.models.inspect import list_models

    found = list_models()
    if as_json:
        print(json.dumps([item.as_json() for item in found]))
        return
    for item in found:
        place = "ready" if item.ready else f"to download: {item.size_mb} MB" if item.size_mb else "not here"
        print(f"{item.name:<11} {place:<22} {item.draws} ({item.licence})")


@models_app.command("check")
def models_check(
    name: Annotated[str, typer.Argument(help="A preset, a hub id or a folder.")], as_json: o.Json = False
) -> None:
    """Whether a model can draw here: what is missing, how big it is, which licence it has."""
    from dsfactory.models.inspect import check_model

    found = check_model(name)
    if as_json:
        print(json.dumps(found.as_json()))
        return
    facts = {
        "source": found.source,
        "family": found.family,
        "draws": found.draws,
        "licence": f"{found.licence} {found.licence_url or ''}" if found.licence else "see the model's page",
        "folder": found.path,
        "commit": found.commit,
        "size": f"{found.size_mb} MB" if found.size_mb else None,
        "missing": ", ".join(found.missing) or None,
        "refused": f"{', '.join(found.pickled)} (can run code; safetensors only)" if found.pickled else None,
    }
    print(f"{found.name}: {'ready to draw' if found.ready else 'not complete on this machine'}")
    for fact, value in facts.items():
        if value is not None:
            print(f"  {fact:<8} {value}")


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
        _fail(f"{error.format_message()} (see --help)", 2)
    except StopSignal as error:
        discard_unfinished()
        _fail(f"stopped by {error}: finished shards are kept, {output.go_on(sys.argv)} to go on", error.exit_code)
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
