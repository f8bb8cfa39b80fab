"""``dsfactory splice``."""

from typing import Annotated

import typer

from dsfactory.cli import options as o

Num = Annotated[int | None, typer.Option(help="Mosaics that the run is to have; 0 for none [default: 100]")]
Size = Annotated[
    int | None, typer.Option(help="Longer side of the results in pixels [default: that of the run's images]")
]
Mix = Annotated[
    str | None,
    typer.Option(help="Grids (rows x columns) with weights: 2x2=3,3x3=1 [default: DiffuMask's, from 1x2 to 8x8]"),
]
Paste = Annotated[
    int | None, typer.Option(help="Images with objects of other samples pasted in that the run is to have [default: 0]")
]
ValShare = Annotated[
    float | None,
    typer.Option(help="Draw from no sample that an export with this share puts into val [default: 0.1]"),
]


def splice(
    run: o.RunPath = None, num: Num = None, size: Size = None, mix: Mix = None, paste: Paste = None,
    val_share: ValShare = None, config: o.Config = None, setting: o.Set = None, budget: o.Budget = None,
    until: o.Until = None, max_gb: o.MaxGb = None, dry_run: o.DryRun = False, redo: o.Redo = False,
    as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Make more training images of the kept ones: mosaics, and objects pasted onto other images.

    Small objects, several in an image and partly hidden ones, which a model alone seldom draws. The masks are exact
    compositions of the masks that are there, with every object apart. Some results are blurred, covered by a block
    of another sample or seen from another viewpoint (--set splice.blur=0, splice.occlusion, splice.perspective).

    Only samples of the train split are used, and 'dsfactory export' puts the results into train, so nothing of val
    leaks. A larger --num or --paste adds to what is there; export leaves them out with --no-splice.
    """
    from pathlib import Path

    from dsfactory.cli import output
    from dsfactory.core.run import newest_run
    from dsfactory.jobs.config import merge_settings, parse_setting
    from dsfactory.jobs.dry_runs import estimate_splice
    from dsfactory.jobs.splicing import splice_job
    from dsfactory.runner.limits import Limits
    from dsfactory.runner.progress import choose_progress

    path = run if run is not None else newest_run(Path("runs"))
    wishes = {"num": num, "size": size, "mix": mix, "paste": paste, "val_share": val_share}
    flags = {"splice": {name: value for name, value in wishes.items() if value is not None}}
    merged = merge_settings(flags, *[parse_setting(text) for text in setting or []])
    limits = Limits(budget, until, max_gb)
    with choose_progress(as_json or quiet) as progress:
        if dry_run:
            output.print_estimate(estimate_splice(path, config, merged, progress, redo), as_json)
        summary = splice_job(path, config, merged, progress, redo, limits)
    output.print_job(summary, as_json, quiet, f"next: dsfactory export {path} --format coco")
