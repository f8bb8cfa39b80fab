"""``dsfactory trust``: how far objects can be trusted, and a fit on labelled pictures of one's own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.lazy import Group
from dsfactory.cli.places import on_disk

trust_app = typer.Typer(
    cls=Group,
    help="How far objects can be trusted: the probability that an object's IoU with the truth is 0.8 or more.",
    no_args_is_help=True,
)


@trust_app.command("show")
def show(run: o.RunPath = None, as_json: o.Json = False) -> None:
    """Say how far the kept objects of a run can be trusted, by class, and on what that was calibrated."""
    from dsfactory.core.run import newest_run
    from dsfactory.jobs.trust import show_trust

    found = show_trust(run if run is not None else newest_run(Path("runs")))
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
        return
    print(f"calibrated on {found.calibrated}")
    for name, value in found.median.items():
        print(f"  {name}: median trust {value:.2f}")
    for least, share in found.shares.items():
        print(f"  --min-trust {least:g} leaves {share:.0%} of {found.objects} objects")


@trust_app.command("fit")
def fit(
    run: o.RunPath = None,
    real: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            callback=on_disk,
            help="Labelled pictures in the layout of PASCAL VOC, with the run's classes.",
        ),
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Fit trust to labelled pictures of your own, and store it in the run (trust.json).

    The run's model labels the pictures, told the classes that they show, and its labels are compared with yours.
    Exports and reports of this run then say what was learnt from that. Delete trust.json to go back.
    """
    from dsfactory.core.run import newest_run
    from dsfactory.errors import UserError
    from dsfactory.jobs.trust import fit_trust
    from dsfactory.runner.progress import choose_progress

    if real is None:
        raise UserError("trust fit: name your labelled pictures with --real DIR")
    with choose_progress(as_json, quiet) as progress:
        found = fit_trust(run if run is not None else newest_run(Path("runs")), real, progress)
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    elif not quiet:
        print(
            f"{found.before.objects} objects in {found.pictures} pictures, {found.before.right:.0%} of them right; "
            f"calibration error {found.before.error:.2f} before, {found.after.error:.2f} now (on pictures left out)"
        )
        print(f"stored in {found.run / 'trust.json'}; exports that are there change with --redo")
