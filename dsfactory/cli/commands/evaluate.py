"""``dsfactory evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk

Real = Annotated[
    Path,
    typer.Option(help="Labelled real images in the layout of PASCAL VOC: JPEGImages, SegmentationClass, "
                 "ImageSets/Segmentation/{train,val}.txt, and labelmap.txt unless the classes are those of VOC."),
]  # fmt: skip
Steps = Annotated[int | None, typer.Option(help="Updates of the network in each training [default: 1000]")]
Repeats = Annotated[int | None, typer.Option(help="Trainings of each kind; their spread is reported [default: 1]")]
Segmenter = Annotated[
    str | None,
    typer.Option(help="What the network starts from: efficientnet-lite0, which comes with dsfactory and knows "
                 "ImageNet, or a semantic-segmentation checkpoint of transformers, folder or hub id [default: a "
                 "small network from scratch]"),
]  # fmt: skip
Side = Annotated[
    int | None, typer.Option(help="Longer side in pixels to which images are scaled for the network [default: 128]")
]
BatchSize = Annotated[int | None, typer.Option(help="Images per update [default: 8]")]
LearningRate = Annotated[
    float | None,
    typer.Option(help="Peak learning rate of AdamW [default: 0.002 from scratch; 0.001 for efficientnet-lite0; "
                 "0.00006 from another checkpoint, which suits transformers]"),
]  # fmt: skip
Seed = Annotated[int | None, typer.Option(help="Seed of weights, order and augmentation [default: 0]")]
Synthetic = Annotated[
    Path | None,
    typer.Option(help="Train on the trainval list of this folder (VOC layout) in place of the run's samples."),
]
Sets = Annotated[
    bool,
    typer.Option("--sets", help="Train nothing: say how far images and labels of the run are from the real ones."),
]  # fmt: skip
ResultOut = Annotated[Path | None, typer.Option(help="Where to [default: RUN/evaluate]", callback=on_disk)]


def evaluate(
    run: o.RunPath = None, *, real: Real, steps: Steps = None, repeats: Repeats = None, segmenter: Segmenter = None,
    side: Side = None, batch_size: BatchSize = None, learning_rate: LearningRate = None, seed: Seed = None,
    device: o.Device = None, synthetic: Synthetic = None, sets: Sets = False, without: o.Without = None,
    no_splice: o.NoSplice = False, out: ResultOut = None,
    dry_run: o.DryRun = False, as_json: o.Json = False, quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Measure what a run is worth: train on it, test on real images.

    The same network is trained for the same number of steps on the run's kept samples, on the real train list, and on
    both (drawn equally often), and each is tested on the real val list. The ratio of the first two says how near the
    synthetic labels come to real ones.

    The mIoU is that of PASCAL VOC: over the classes and background, void left out. Classes are matched by name or
    synonym; objects of the real set that the run has no class for count as background, and a class that no image of
    val shows counts for nothing.

    With --sets nothing is trained: distances of image features (Fréchet, kernel, precision, recall, density, coverage,
    Vendi) and of labels (classes, objects per image, size, place, outline, ignored pixels), beside those of the real
    set to itself, and a picture of the images that are least alike (sets.json, sets.md, unlike.png).

    Writes results.json, table.md, table.csv and plot.png. A killed evaluation goes on with the same command, and
    finished trainings are used again wherever data and settings are the same.
    """
    from dsfactory.cli import output
    from dsfactory.core.run import newest_run
    from dsfactory.core.section import parse_section
    from dsfactory.evaluate.config import EvaluateConfig
    from dsfactory.jobs.evaluate import evaluate_job, plan_evaluation
    from dsfactory.runner.progress import choose_progress

    left_out = [*(without or []), *(["splice"] if no_splice else [])]
    path = run if run is not None else newest_run(Path("runs"))
    network = {
        "checkpoint": segmenter, "steps": steps, "side": side, "batch_size": batch_size, "learning_rate": learning_rate
    }  # fmt: skip
    given = {"repeats": repeats, "seed": seed, "device": device}
    settings = {
        "segment": {name: value for name, value in network.items() if value is not None},
        **{name: value for name, value in given.items() if value is not None},
    }
    config = parse_section(EvaluateConfig, settings, "settings")
    if sets:
        from dsfactory.jobs.sets import sets_job

        with choose_progress(as_json, quiet) as progress:
            compared = sets_job(path, real, progress, synthetic, left_out, out, config.seed)
        output.print_sets(compared, as_json, quiet)
        return
    with choose_progress(as_json, quiet) as progress:
        if dry_run:
            output.print_plan(plan_evaluation(path, real, config, progress, synthetic, left_out), as_json)
        found = evaluate_job(path, real, config, progress, synthetic, left_out, out)
    output.print_evaluation(found, as_json, quiet)
