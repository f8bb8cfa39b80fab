"""``dsfactory trial``: does this model make my classes, and label them?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsfactory.cli import options as o

if TYPE_CHECKING:
    from dsfactory.jobs.trial import Trial

PLACES = ("generate.model", "generate.lora", "generate.embedding", "seed", "generate.device")
"""Settings whose flags it takes."""

Num = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Images per class.")]
JudgeModel = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="FOLDER|ID",
        help="A CLIP model that says what images show: openai/clip-vit-base-patch32, say [default: the model itself]",
    ),
]


def trial(
    flags: dict[str, Any], out: o.Out = None, config: o.Config = None, num: Num = 8, judge: JudgeModel = None,
    redo: o.Redo = False, as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Try a model on your classes: a few images of each, their masks, and whether they can be trusted.

    Says per class how many images are recognised (by the model itself, as a diffusion classifier, or by --judge), how
    much their masks can be trusted (trust: the median, see 'dsfactory trust'; mirrored: IoU with the label of the
    mirror image), which share has a mask, and what images cost in time and memory. Writes a page with all of them.

    Ends with exit code 3 when a class fails: fewer than half of its images are recognised, or have a mask.
    """
    from dsfactory.jobs.job import Request
    from dsfactory.jobs.trial import trial_job
    from dsfactory.report.job import report_job
    from dsfactory.runner.progress import choose_progress

    request = Request((), out, config, flags, redo)
    with choose_progress(as_json or quiet) as progress:
        found = trial_job(request, num, judge, progress)
        page = report_job(found.run, None, 1000, progress).page
    if as_json:
        print(json.dumps({**found.as_json(), "page": str(page)}, ensure_ascii=False))
    elif not quiet:
        _print(found, page)
    raise typer.Exit(found.exit_code)


def _print(found: "Trial", page: Path) -> None:
    from dsfactory.jobs.plan import duration, in_bytes
    from dsfactory.jobs.trial import COST_OF

    wide = max(5, *(len(item.name) for item in found.classes))
    print(f"{'class':<{wide}}  recognised  trust  mirrored   kept")
    for item in found.classes:
        recognised = "–" if item.recognised is None else f"{item.recognised:.0%}"
        trust, mirrored = ("–" if value is None else f"{value:.2f}" for value in (item.trust, item.mirrored))
        verdict = f"fails: {', '.join(item.faults)}" if item.faults else "passes"
        print(f"{item.name:<{wide}}  {recognised:>10}  {trust:>5}  {mirrored:>8}  {item.kept:>5.0%}  {verdict}")
    who = f"{found.judge} says what the images show" if found.judge else "nobody said what the images show: --judge can"
    print(f"{who}; they are by {found.model}, in {found.run}")
    each = sum(found.seconds.values())
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in found.seconds.items() if name != "prompts")
    print(f"{each:.2f} s an image ({parts}), {found.memory_gb:.1f} GB of {found.memory_of} memory")
    print(f"{COST_OF:,} images: about {duration(each * COST_OF)}, {in_bytes(round(found.bytes * COST_OF))} of disk")
    print(f"{page}: open it in a browser")
