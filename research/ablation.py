"""What each step of the labels is worth: masks against truth, and a segmenter trained on them and tested on other art.

    python -m research.ablation --packages build/stickers/node_modules/@iconify-json --work build/ablation \\
        --num 250 --steps 2000 --repeats 3 --out docs/figures/ablation.json

One run is drawn once. Its evidence becomes labels in several ways: by the fixed thresholds of other projects, by the
adaptive threshold, then with the CRF (together the refine stage), then without what `dsfactory filter` drops, then with
the mosaics of `dsfactory splice`, then with its pastes. On each a segmenter is trained, for the same number of
steps, and tested on rendered scenes of a style that the model never saw; trained on scenes of that style with
their exact masks, it shows what there is to reach.

Two rows between tell what limits the rest: scenes of the styles that the model learnt, once with masks as the model and
refine make them, once with their exact masks. Between these two lies what masks cost; between our drawings and the
first, what the pictures cost; between the second and the tested style, what the styles cost.

Mask IoU is measured where truth is known: on rendered scenes that the model labels as `dsfactory annotate` does
(`research.annotate_measure` says how each rule cuts).

Given again after a kill, it goes on: what is drawn, labelled and trained stays in the work folder.
"""

import argparse
import hashlib
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsfactory.core.run import Run
from dsfactory.errors import DsfactoryError
from dsfactory.evaluate.config import EvaluateConfig
from dsfactory.evaluate.results import Results
from dsfactory.evaluate.sources import TrainingSet
from dsfactory.evaluate.training import Training
from dsfactory.models.devices import choose_device
from dsfactory.models.locate import locate_model
from dsfactory.runner.progress import Plain, Progress
from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.metrics import Confusion
from research.ablation_sets import (
    CRF,
    FILTERED,
    REAL,
    RULES,
    SCENES,
    SCENES_EXACT,
    WITH_MOSAICS,
    WITH_PASTES,
    Settings,
    annotated_set,
    learnt_stickers,
    make_run,
    measure_masks,
    relabelled_sets,
    reporter,
    scene_set,
    stage_set,
    tested_stickers,
)
from research.annotate_measure import write_figures
from scripts.pocket.stickers import CLASS_ICONS, TEST_STYLES, drawn_classes


def train_rows(settings: Settings, sets: dict[str, TrainingSet], progress: Progress) -> dict[str, list[Confusion]]:
    """Per row, the test's confusion matrix of each repetition. Every row's first repetition comes before any second."""
    segment = SegmentConfig(
        checkpoint=settings.segmenter, steps=settings.steps, side=settings.side, batch_size=settings.batch_size
    )
    config = EvaluateConfig(segment=segment, repeats=settings.repeats)
    test = scene_set(settings, tested_stickers(settings), "val")
    folder = settings.work / "trainings"
    folder.mkdir(exist_ok=True)
    found: dict[str, list[Confusion]] = {row: [] for row in sets}
    device = choose_device(settings.device)
    for repeat in range(settings.repeats):
        for row, data in sets.items():
            name = "row-" + hashlib.sha256(row.encode()).hexdigest()[:8]
            training = Training(name, repeat, data, test, len(settings.classes) + 1, config, device, folder)
            found[row].append(training.run(reporter(progress, f"{row} {repeat + 1}/{settings.repeats}"))[0].counts)
    return found


def ablation(settings: Settings, progress: Progress) -> dict[str, Any]:
    """All figures: per row `images`, `mask_iou` and `void` where truth is known, `miou` and its `spread`."""
    settings.work.mkdir(parents=True, exist_ok=True)
    masks = measure_masks(settings)
    run = Run.open(make_run(settings, progress))
    with run.lock():
        sets = relabelled_sets(run, settings.classes) if settings.rules else {}
        sets[CRF] = stage_set(run, "refine")
        sets[FILTERED] = stage_set(run, "filter")
        sets[WITH_MOSAICS] = stage_set(run, "filter", ["mosaic"])
        sets[WITH_PASTES] = stage_set(run, "filter", ["mosaic", "paste"])
        scenes = scene_set(settings, learnt_stickers(settings), "train")
        sets[SCENES], sets[SCENES_EXACT] = annotated_set(settings, scenes, progress), scenes
        sets[REAL] = scene_set(settings, tested_stickers(settings), "train")
        confusions = train_rows(settings, sets, progress)
    names = ("background", *settings.classes)
    results = Results(names, confusions, {}, {})
    rows = [
        {"labels": rule, "images": None, "mask_iou": masks[rule]["miou"], "void": masks[rule]["void"], "miou": None}
        for rule in RULES
        if rule not in sets
    ]
    for row, data in sets.items():
        mious = results.mious(row)
        rows.append(
            {
                "labels": row,
                "images": len(data.images),
                "mask_iou": masks[row]["miou"] if row in masks else None,
                "void": masks[row]["void"] if row in masks else None,
                "miou": statistics.fmean(mious),
                "spread": statistics.stdev(mious) if len(mious) > 1 else None,
                "per_class": results.class_ious(row),
            }
        )
    return {
        "model": locate_model(settings.model).name,
        "test_styles": list(settings.styles),
        "classes": list(settings.classes),
        "images_per_class": settings.num,
        "guidance": settings.guidance,
        "objects": settings.objects,
        "scenes": settings.scenes,
        "segmenter": settings.segmenter,
        "steps": settings.steps,
        "side": settings.side,
        "batch_size": settings.batch_size,
        "repeats": settings.repeats,
        "rows": rows,
    }


def to_markdown(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    real = figures["rows"][-1]["miou"]
    lines = [
        "| labels | images | mask IoU | void | trained on it: mIoU | ÷ exact masks |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in figures["rows"]:
        if row["miou"] is None:  # only its masks were measured
            lines.append(f"| {row['labels']} | – | {row['mask_iou']:.3f} | {row['void']:.3f} | – | – |")
            continue
        masks = "–" if row["mask_iou"] is None else f"{row['mask_iou']:.3f}"
        void = "–" if row["void"] is None else f"{row['void']:.3f}"
        spread = "" if row["spread"] is None else f" ± {row['spread']:.3f}"
        ratio = row["miou"] / real if real else float("nan")
        lines.append(
            f"| {row['labels']} | {row['images']} | {masks} | {void} | {row['miou']:.3f}{spread} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--styles", default=",".join(TEST_STYLES), help="of the test, separated by commas")
    parser.add_argument("--classes", default=None, help="separated by commas [default: all that are there]")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--num", type=int, default=250, help="drawn images per class")
    parser.add_argument("--guidance", type=float, default=None, help="of the drawing [default: the model's]")
    parser.add_argument("--objects", default="1", help="classes per drawn image, such as 1-3")
    parser.add_argument("--splice", type=int, default=500, help="mosaics")
    parser.add_argument("--paste", type=int, default=1000, help="images with objects of others pasted in")
    parser.add_argument("--scenes", type=int, default=200, help="rendered scenes for the mask IoU")
    parser.add_argument(
        "--real", type=int, default=1000, help="rendered scenes of each kind: 4/5 to train on, 1/5 to test on"
    )
    parser.add_argument("--segmenter", default=None, help="what is trained, as for evaluate [default: from scratch]")
    parser.add_argument("--steps", type=int, default=2000, help="of each training")
    parser.add_argument("--side", type=int, default=128, help="of the images in each training, in pixels")
    parser.add_argument("--batch-size", type=int, default=8, help="images per step")
    parser.add_argument("--filter-steps", type=int, default=None, help="of each fold of the filter [default: its own]")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--no-rules",
        dest="rules",
        action="store_false",
        help="measure the masks of other projects' rules, train on none",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, required=True, help="folder of what is made on the way")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON")
    args = vars(parser.parse_args(argv))
    out = args.pop("out")
    for name in ("styles", "classes"):
        args[name] = tuple(part.strip() for part in (args[name] or "").split(",") if part.strip())
    unknown = [name for name in args["classes"] if name not in CLASS_ICONS]
    if unknown:
        parser.error(f"no stickers for {', '.join(unknown)}; there are {', '.join(CLASS_ICONS)}")
    try:
        args["classes"] = args["classes"] or drawn_classes(args["packages"], args["styles"])
        with Plain() as progress:
            figures = ablation(Settings(**args), progress)
    except (DsfactoryError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(to_markdown(figures))
    if out is not None:
        write_figures(out, figures)


if __name__ == "__main__":
    main()
