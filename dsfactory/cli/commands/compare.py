"""``dsfactory compare``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk


def compare(
    labels: Annotated[
        list[str],
        typer.Argument(
            help="Two to six of: runs, exports, folders, zips or files in VOC, COCO, CVAT or PNG. RUN@refine: a run's "
            "labels as they were after that stage.",
            metavar="A B ...",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The page with the twenty worst images.", callback=on_disk)
    ] = Path("compare.html"),
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Compare labels of the same images: two runs, a run and what a person corrected, settings, tools.

    Images are matched by file name. Prints per class the IoU, the F-measure of boundaries and what only one of them
    shows; writes a page with the twenty images on which they agree least. Of three or more, STAPLE estimates how near
    each is to the truth that nobody has; labels that go back to the same attention share errors, which it then takes
    for truth: that is said.

    Pixels that one of them ignores count for nobody; classes that not all know count as background.
    """
    from dsfactory.jobs.compare import compare_job, describe
    from dsfactory.report.job import check_replaceable
    from dsfactory.report.sheet import MARK, write_comparison
    from dsfactory.runner.progress import choose_progress
    from dsfactory.storage.disk import disk_errors

    check_replaceable(out, MARK)
    with choose_progress(as_json, quiet) as progress:
        found = compare_job(labels, progress)
        for line in found.notes:
            progress.warn(line)
        for name, why in found.skipped.items():
            progress.warn(f"{name} {why}")
        with disk_errors(out, "nothing was changed"):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_comparison(found, out)
    if as_json:
        print(json.dumps({**found.as_json(), "page": str(out)}))
    elif not quiet:
        print("\n".join([*describe(found), "", f"{out}: the images on which they agree least; open it in a browser"]))
    raise typer.Exit(found.exit_code)
