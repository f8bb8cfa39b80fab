"""``dsfactory annotate``: labels for pictures that are there already."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dsfactory.cli import options as o
from dsfactory.cli import output
from dsfactory.errors import UserError

Images = Annotated[Path, typer.Argument(help="A folder of pictures (its sub-folders too), or one picture.")]
ImageClasses = Annotated[
    Path | None,
    typer.Option(
        help='CSV (columns file, classes: \'a.jpg,dog;bird\') or JSON ({"a.jpg": ["dog"]}) that says which classes '
        "pictures show; for those that it leaves out the model decides."
    ),
]
Timesteps = Annotated[
    str | None,
    typer.Option(help="How much noise is added, in steps of 0 to 999, one pass each [default: 100,200,300,400]"),
]
Seeds = Annotated[int | None, typer.Option(min=1, max=64, help="Draws of noise per timestep [default: 3]")]
MinGain = Annotated[
    str | None,
    typer.Option(
        help="A class counts as present when naming it, and no other, lowers the error of the model's noise prediction "
        "by this share of the whole (0 to 1); 'off' takes all classes for present [default: 0.001]"
    ),
]


def annotate(
    images: Images, classes: o.Classes = None, classes_file: o.ClassesFile = None,
    image_classes: ImageClasses = None, model: o.Model = None, out: o.Out = None, config: o.Config = None,
    seed: o.Seed = None, timesteps: Timesteps = None, seeds: Seeds = None, min_gain: MinGain = None,
    device: o.Device = None, shard_size: o.ShardSize = None, setting: o.Set = None, format: o.Format = "coco",
    val_share: o.ValShare = 0.1, budget: o.Budget = None, until: o.Until = None, max_gb: o.MaxGb = None,
    workers: o.Workers = None, devices: o.Devices = None, dry_run: o.DryRun = False, redo: o.Redo = False,
    as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Label pictures that you have: the same attention that labels drawn ones, read from a few noisy passes.

    Makes a run (status, verify, refine and export work on it) and exports it. Your pictures are only read. Given again,
    the command goes on where it was stopped and labels pictures that were added since.

    A picture that cannot be used (damaged, animated, not a picture at all) is a failed sample with a reason, and the
    exit code is 3.
    """
    import json

    from dsfactory.jobs.dry_runs import estimate_annotate
    from dsfactory.jobs.export import check_formats, export_job
    from dsfactory.jobs.job import refine_job
    from dsfactory.jobs.pictures import annotate_job
    from dsfactory.runner.executors import choose_engine
    from dsfactory.runner.limits import Limits
    from dsfactory.runner.progress import choose_progress

    flags = _flags(locals())
    formats = check_formats(format)
    limits = Limits(budget, until, max_gb)
    engine = choose_engine(workers, devices, "local", None)
    if dry_run:
        output.print_estimate(estimate_annotate(images, out, config, flags, redo, tuple(formats), engine), as_json)
    with choose_progress(as_json or quiet) as progress:
        summary = annotate_job(images, out, config, flags, progress, redo, limits, engine)
        if not summary.stopped:
            summary.stages += refine_job(summary.run, config, {}, progress, redo, limits, engine).stages
    made = any(stage.made for stage in summary.stages)  # what is new belongs into the export
    exports = [] if summary.stopped else export_job(summary.run, format, None, val_share, redo or made)
    if as_json:
        print(json.dumps({**summary.as_json(), "exports": [item.as_json() for item in exports]}))
        raise typer.Exit(summary.exit_code)
    for item in exports if not quiet else ():
        print(output.describe_export(item))
    output.print_job(summary, False, quiet, "", drawn=False)


def _flags(given: dict[str, Any]) -> dict[str, Any]:
    """The nested settings that options stand for; ``--set`` wins over them."""
    from dsfactory.core.config import parse_class_list, read_class_file
    from dsfactory.jobs.config import merge_settings, parse_setting

    if given["classes"] is not None and given["classes_file"] is not None:
        raise UserError("use --classes or --classes-file, not both")
    flags: dict[str, Any] = {name: given[name] for name in ("seed", "shard_size") if given[name] is not None}
    if given["classes"] is not None:
        flags["classes"] = parse_class_list(given["classes"])
    elif given["classes_file"] is not None:
        flags["classes"] = read_class_file(given["classes_file"])
    flags["generate"] = {name: given[name] for name in ("model", "device") if given[name] is not None}
    flags["annotate"] = {"seeds": given["seeds"]} if given["seeds"] is not None else {}
    if given["timesteps"] is not None:
        flags["annotate"]["timesteps"] = given["timesteps"].split(",")
    if given["min_gain"] is not None:
        flags["annotate"]["min_gain"] = None if given["min_gain"] == "off" else given["min_gain"]
    if given["image_classes"] is not None:
        flags["annotate"]["image_classes"] = str(given["image_classes"].absolute())
    return merge_settings(flags, *[parse_setting(text) for text in given["setting"] or []])
