"""``dsfactory import``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import run_place

if TYPE_CHECKING:
    from dsfactory.dataset.decisions import Decisions

RunFolder = Annotated[
    Path, typer.Argument(help="The run's folder, or s3://BUCKET/PATH.", show_default=False, callback=run_place)
]
Fixed = Annotated[Path | None, typer.Argument(help="What the other tool wrote: a file, a folder or a zip.")]
_FORMAT = "How it is written: cvat, coco, voc (CVAT: Segmentation mask 1.1) or png [default: told by the files]"
ImportFormat = Annotated[str | None, typer.Option(help=_FORMAT)]
_PREFER = "Where an image was changed there and corrected in the run since: take what comes back, or keep the run's."
Prefer = Annotated[Literal["theirs", "mine"] | None, typer.Option(help=_PREFER)]
Binary = Annotated[
    str | None, typer.Option(metavar="CLASS", help="PNG masks are black and white, and this class is what they show.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Forget = Annotated[str | None, typer.Option(help="Take fixes away instead: sample keys separated by commas, or 'all'.")]

SHOWN = 20
"""Names that are written out for one reason."""


def import_fixes(
    run: RunFolder, fixed: Fixed = None, format: ImportFormat = None, prefer: Prefer = None, binary: Binary = None,
    dry_run: DryRun = False, forget: Forget = None, as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Bring back masks that a person corrected in CVAT or another tool, or decisions saved on the report page.

    Export with --format cvat, correct the masks there, export "CVAT for images 1.1" from it, and name that file here.
    Samples are known by their file names. An image that comes back as it was exported is left alone, whatever has been
    corrected since; one that was changed there and in the run is refused unless --prefer says whose labels count. A fix
    wins over the run's own mask in every later export, whatever refine and filter say; only when the image itself is
    made again it is left out, by name. An image that comes back without any label is left out of exports.

    A file that the report page saved says which samples to keep, whatever filter says, and which to leave out.

    Exit code 3 says that some samples were refused; the others are brought back.
    """
    import json

    from dsfactory.cli import output
    from dsfactory.dataset.decisions import read_decisions
    from dsfactory.errors import UserError
    from dsfactory.jobs.corrections import forget_fixes, import_job

    if (fixed is None) == (forget is None):
        raise UserError("name what to bring back, or the fixes to take away with --forget")
    if fixed is not None:
        decisions = read_decisions(fixed)
        if decisions is not None:
            _take_decisions(run, decisions, dry_run, as_json, quiet)
        summary = import_job(run, fixed, format, dry_run, prefer, binary)
    else:
        summary = forget_fixes(run, forget or "")
    if as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False))
        raise typer.Exit(summary.exit_code)
    for line in _refusals(summary.refused):
        typer.echo(output.printable(line), err=True)
    if not quiet:
        parts = [f"{len(summary.fixed)} {'would be fixed' if dry_run else 'fixed'}", f"{summary.unchanged} unchanged"]
        parts += [f"{len(summary.emptied)} of them without any label"] if summary.emptied else []
        parts += [f"{len(summary.reverted)} back to the run's own mask"] if summary.reverted else []
        parts += [f"{len(summary.refused)} refused"] if summary.refused else []
        print(f"import    {', '.join(parts)}; the run has {summary.total} in all" if not dry_run else ", ".join(parts))
        if summary.fixed and not dry_run:
            print(f"next: dsfactory export {run} --format coco --redo")
    raise typer.Exit(summary.exit_code)


def _take_decisions(run: Path, decisions: "Decisions", dry_run: bool, as_json: bool, quiet: bool) -> NoReturn:
    """Take over what a person decided on the report page, and end the command."""
    import json

    from dsfactory.cli import output
    from dsfactory.jobs.decisions import decisions_job

    summary = decisions_job(run, decisions, dry_run)
    if as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False))
        raise typer.Exit(summary.exit_code)
    for key, reason in summary.refused.items():
        typer.echo(output.printable(f"dsfactory: {key[:200]} {reason}: refused"), err=True)
    if not quiet:
        print(f"import    {summary.in_words()}")
        if summary.decided and not dry_run:
            print(f"next: dsfactory export {run} --format coco --redo")
    raise typer.Exit(summary.exit_code)


def _refusals(refused: dict[str, str]) -> Iterator[str]:
    """A line for each reason, with the names of what it keeps out."""
    names: dict[str, list[str]] = {}
    for name, reason in refused.items():
        names.setdefault(reason, []).append(name[:200])
    for reason, found in names.items():
        more = f" and {len(found) - SHOWN} more (--json names them)" if len(found) > SHOWN else ""
        yield f"dsfactory: {', '.join(found[:SHOWN])}{more}: refused, {reason}"
