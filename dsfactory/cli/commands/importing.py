"""``dsfactory import``."""

from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import run_place

RunFolder = Annotated[
    Path, typer.Argument(help="The run's folder, or s3://BUCKET/PATH.", show_default=False, callback=run_place)
]
Fixed = Annotated[Path | None, typer.Argument(help="What the other tool wrote: a file, a folder or a zip.")]
ImportFormat = Annotated[
    str, typer.Option(help="How it is written: cvat, coco, voc (CVAT: Segmentation mask 1.1) or png.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Forget = Annotated[str | None, typer.Option(help="Take fixes away instead: sample keys separated by commas, or 'all'.")]


def import_fixes(
    run: RunFolder, fixed: Fixed = None, format: ImportFormat = "cvat", dry_run: DryRun = False,
    forget: Forget = None, as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Bring back masks that a person mended in CVAT or another tool.

    Export with --format cvat, mend the masks there, export "CVAT for images 1.1" from it, and name that file here.
    Samples are known by their file names; what came back as it was is left alone. A fix wins over the run's own mask
    in every later export, whatever refine and filter say; only when the image itself is drawn anew it is left out, by
    name. An image that comes back without any label is left out of exports.

    Exit code 3 says that some samples were refused; the others are brought back.
    """
    import json

    from dsfactory.cli import output
    from dsfactory.errors import UserError
    from dsfactory.jobs.corrections import forget_fixes, import_job

    if (fixed is None) == (forget is None):
        raise UserError("name what to bring back, or the fixes to take away with --forget")
    summary = import_job(run, fixed, format, dry_run) if fixed is not None else forget_fixes(run, forget or "")
    if as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False))
        raise typer.Exit(summary.exit_code)
    for name, reason in summary.refused.items():
        typer.echo(output.printable(f"dsfactory: {name[:200]} {reason}: refused"), err=True)
    if not quiet:
        parts = [f"{len(summary.fixed)} {'would be fixed' if dry_run else 'fixed'}", f"{summary.unchanged} unchanged"]
        parts += [f"{len(summary.emptied)} of them without any label"] if summary.emptied else []
        parts += [f"{len(summary.reverted)} back to the run's own mask"] if summary.reverted else []
        parts += [f"{len(summary.refused)} refused"] if summary.refused else []
        print(f"import    {', '.join(parts)}; the run has {summary.total} in all" if not dry_run else ", ".join(parts))
        if summary.fixed and not dry_run:
            print(f"next: dsfactory export {run} --format coco --redo")
    raise typer.Exit(summary.exit_code)
