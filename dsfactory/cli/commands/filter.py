"""``dsfactory filter``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk

if TYPE_CHECKING:
    from dsfactory.jobs.filtering import FilterSummary

Folds = Annotated[
    int | None,
    typer.Option(help="Parts of the run; each is judged by a network that learnt from the others [default: 3]"),
]
Keep = Annotated[
    str | None,
    typer.Option(
        help="'auto' (drop what falls off from its class) or the share of each class that is kept, best first, such "
        "as 0.3 [default: auto]"
    ),
]
Segmenter = Annotated[
    str | None,
    typer.Option(help="What the networks start from: efficientnet-lite0, which comes with dsfactory and knows "
                 "ImageNet, or a transformers segmentation checkpoint, folder or hub id [default: small networks "
                 "from scratch]"),
]  # fmt: skip
Clip = Annotated[
    str | None, typer.Option(help="A CLIP checkpoint, folder or hub id, that compares image and class name as well.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go; write nothing into the run.")]
Pictures = Annotated[
    Path | None,
    typer.Option(help="A PNG to write, with the samples that go (at most 48), worst first.", callback=on_disk),
]


def filter_command(
    run: o.RunPath = None, folds: Folds = None, keep: Keep = None, segmenter: Segmenter = None, clip: Clip = None,
    device: o.Device = None, dry_run: DryRun = False, pictures: Pictures = None, config: o.Config = None,
    setting: o.Set = None, redo: o.Redo = False, as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Drop samples whose labels the rest of the run contradicts, and void doubtful pixels.

    A segmentation network is trained on each part of the run but one and judges that one: what it never saw. A sample
    goes when its label disagrees with that (IoU within its class, and cleanlab's label quality), when its class is not
    to be seen, when the object is far too small or large, or when the image nearly repeats a better one. In what is
    kept, pixels whose loss is high for their class become void, but for those of a mere outline
    (--set filter.pixel_loss=0 leaves all).

    Nothing is deleted: a dropped sample keeps its files and has a reason; export leaves it out (but for --no-filter).
    Killed, it goes on with the same command. A run that has grown is judged again as a whole. Other rules (--keep …
    --redo) need no new training.
    """
    from dsfactory.cli import output
    from dsfactory.core.run import newest_run
    from dsfactory.jobs.config import merge_settings, parse_setting
    from dsfactory.jobs.filtering import filter_dry_run, filter_job
    from dsfactory.runner.progress import choose_progress

    path = run if run is not None else newest_run(Path("runs"))
    wishes = {"folds": folds, "keep": keep, "clip": clip, "device": device}
    flags = {"filter": {name: value for name, value in wishes.items() if value is not None}}
    network = {"filter": {"segment": {"checkpoint": segmenter}}} if segmenter is not None else {}
    merged = merge_settings(flags, network, *[parse_setting(text) for text in setting or []])
    with choose_progress(as_json or quiet) as progress:
        if dry_run:
            summary = filter_dry_run(path, config, merged, progress, pictures)
        else:
            summary = filter_job(path, config, merged, progress, redo, pictures)
    if as_json:
        print(json.dumps(summary.as_json()))
        raise typer.Exit(summary.exit_code)
    if not quiet:
        _print_verdicts(summary)
    if dry_run:
        raise typer.Exit
    output.print_job(summary, False, quiet, f"next: dsfactory export {path} --format coco")


def _print_verdicts(summary: "FilterSummary") -> None:
    from dsfactory.stages.filter.rules import REASONS

    verb = "would be dropped" if summary.dry_run else "are dropped"
    print(f"{summary.dropped.total()} of {summary.judged.total()} samples with a mask {verb}")
    for reason, count in summary.reasons.most_common():
        print(f"  {count:>6}  {reason:<10} {REASONS[reason]}")
    for name, count in summary.judged.items():
        learnt = f" (median IoU {summary.iou[name]:.2f})" if name in summary.iou else ""
        print(f"  {name}: {count - summary.dropped[name]} of {count} kept{learnt}")
    if summary.pictures is not None:
        print(f"those that go, worst first: {summary.pictures}")
