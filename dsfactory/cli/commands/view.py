"""``dsfactory view``."""

from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk
from dsfactory.core.words import counted


def view(
    run: o.RunPath = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Keep the unpacked pictures in this new folder, and the dataset in FiftyOne (see --name).",
            callback=on_disk,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="With --out: the dataset's name in FiftyOne [default: the run's name]")
    ] = None,
    app: Annotated[
        bool, typer.Option("--app/--no-app", help="Open the FiftyOne app; without it, --out makes the dataset only.")
    ] = True,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the app.")] = 5151,
    quiet: o.Quiet = False,
) -> None:
    """Look at a run in FiftyOne: prompts, scores, status and reasons as fields, masks as segmentations.

    Needs FiftyOne (pip install fiftyone). Ends when the app is closed; what was unpacked is deleted then, unless --out
    keeps it. For a page without any of this: dsfactory report.
    """
    from tempfile import TemporaryDirectory

    from dsfactory.core.run import newest_run
    from dsfactory.errors import UserError
    from dsfactory.report.fiftyone import make_dataset, require_fiftyone
    from dsfactory.report.source import open_source
    from dsfactory.runner.progress import choose_progress

    path = run if run is not None else newest_run(Path("runs"))
    source = open_source(path)
    if out is None and not (app and name is None):
        raise UserError("--name and --no-app keep a dataset: say with --out where its pictures go")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not an empty folder: name a new one with --out")
    require_fiftyone(path)
    with TemporaryDirectory(prefix="dsfactory-view-") as temporary:
        with choose_progress(False, quiet) as progress:
            kept = (name or path.resolve().name) if out is not None else None
            dataset = make_dataset(source, out if out is not None else Path(temporary), kept, progress)
        if not quiet:
            print(f"{len(dataset)} of {counted(source.run.total, 'sample')} handed to FiftyOne as {dataset.name}")
        if app:
            import fiftyone as fo

            fo.launch_app(dataset, port=port).wait()
