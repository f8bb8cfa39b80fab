"""``dsfactory report``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk
from dsfactory.core.words import counted


def report(
    run: o.RunPath = None,
    out: Annotated[Path | None, typer.Option(help="The HTML file [default: RUN/report.html]", callback=on_disk)] = None,
    max_samples: Annotated[
        int, typer.Option(min=1, max=100_000, help="Pictures in the gallery; the numbers count all samples.")
    ] = 600,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write one HTML page about a run: gallery with masks, plots, what was left out and why, how to reproduce it.

    The page needs no network and no server: open the file, or send it to someone. Of a run with more than --max-samples
    the gallery shows the worst and some at random, and says so. May be asked while the run is being made.
    """
    from dsfactory.core.run import newest_run
    from dsfactory.report.job import report_job
    from dsfactory.runner.progress import choose_progress

    path = run if run is not None else newest_run(Path("runs"))
    with choose_progress(as_json, quiet) as progress:
        summary = report_job(path, out, max_samples, progress)
        for line in summary.damaged:
            progress.warn(f"damaged: {line}")
    if as_json:
        print(json.dumps(summary.as_json()))
    elif not quiet:
        shown = "all" if summary.shown == summary.samples else f"{summary.shown} of"
        samples = f"{shown} {counted(summary.samples, 'sample')}"
        print(f"{summary.page}: {samples}, {summary.bytes / 1e6:.1f} MB; open it in a browser")
    raise typer.Exit(summary.exit_code)
