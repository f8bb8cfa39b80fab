"""Which settings give the best masks on rendered scenes: timesteps, affinity, threshold, CRF.

    python -m research.annotate_tune --model dsfactory/models/pocket --scenes 64 \\
        --packages build/stickers/node_modules/@iconify-json --styles noto,twemoji --out build/tune.json

One group of settings after the other, each keeping the best of the groups before it; the figure is the mean IoU over
classes, void counting as background. Tune on styles that the model was trained on: figures on the test style are worth
nothing once settings were chosen by them.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from dsfactory.core.seeds import derive_seed
from dsfactory.models.loading import load_pipeline
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from research.annotate_measure import Overlap, in_list, scenes_parser, write_figures
from scripts.pocket.captions import class_specs
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.scenes import Scene, group_by_class
from scripts.pocket.stickers import TEST_STYLES, TRAIN_STYLES, load_stickers

TIMESTEPS = ((100,), (200,), (300,), (400,), (500,), (50, 150, 250), (100, 200, 300), (100, 200, 300, 400),
             (200, 400, 600), (300, 500, 700))  # fmt: skip

Settings = dict[str, Any]


def refine_groups() -> Iterator[list[Settings]]:
    """Groups of settings of the refine stage, to be tried in this order."""
    thresholds = ("auto", 0.3, 0.35, 0.4, 0.45, 0.5, 0.55)
    yield [
        {"affinity_weight": weight, "threshold": threshold}
        for weight, threshold in itertools.product((0.0, 0.25, 0.5, 1.0), thresholds)
    ]
    yield [
        {"crf_iterations": 0},
        *(
            {"crf_iterations": 10, "bilateral_sxy": sxy, "bilateral_srgb": srgb, "bilateral_compat": compat}
            for sxy, srgb, compat in itertools.product((20.0, 40.0, 80.0, 160.0), (5.0, 9.0, 13.0, 20.0), (4.0, 10.0))
        ),
    ]
    yield [{"sharpness": value} for value in (6.0, 9.0, 12.0, 18.0, 27.0)]
    yield [{"gaussian_sxy": sxy, "gaussian_compat": compat} for sxy in (3.0, 6.0, 12.0) for compat in (1.0, 3.0, 6.0)]
    yield [{"affinity_weight": 0.5, "threshold": "auto"}, *({"threshold": value} for value in thresholds)]


def read_scenes(annotator: Annotator, scenes: Sequence[Scene]) -> list[Evidence]:
    return [
        annotator.evidence(annotator.noisy(scene.image, derive_seed(6, number)), class_specs(scene.classes))
        for number, scene in enumerate(scenes)
    ]


def mean_iou(
    scenes: Sequence[Scene], found: Sequence[Evidence], names: Sequence[str], settings: Settings
) -> dict[str, float]:
    """`miou` over classes, and the share of `void`."""
    config = RefineConfig(**settings)
    overlap = Overlap(names)
    for scene, evidence in zip(scenes, found, strict=True):
        ids = range(1, len(scene.classes) + 1)
        labels = refine_mask(scene.image, evidence.cross, evidence.affinity, ids, config).labels
        overlap.add(in_list(labels, scene.classes, names), in_list(scene.labels, scene.classes, names))
    figures = overlap.figures()
    return {name: round(figures[name], 4) for name in ("miou", "void")}


def main(argv: Sequence[str] | None = None) -> None:
    parser = scenes_parser(__doc__, TRAIN_STYLES, scenes=64, seed=106)
    parser.add_argument("--keep-timesteps", action="store_true", help="do not try other timesteps than the default")
    args = parser.parse_args(argv)
    styles = tuple(args.style.split(","))
    if set(styles) & set(TEST_STYLES):
        parser.error(f"{', '.join(TEST_STYLES)} is for testing: tune on {', '.join(TRAIN_STYLES)}")
    stickers = load_stickers(args.packages, styles)
    names = tuple(group_by_class(stickers))
    scenes = list(rendered_scenes(stickers, args.scenes, args.seed, args.size))
    pipeline = load_pipeline(args.model, device=args.device)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    trials: list[dict[str, Any]] = []

    def record(settings: Settings, figures: dict[str, float]) -> float:
        trials.append(settings | figures)
        print(figures["miou"], figures["void"], settings, flush=True)
        if args.out is not None:
            write_figures(args.out, trials)
        return figures["miou"]

    default = AnnotateConfig(images="")
    best, found = -1.0, []
    for timesteps in (default.timesteps,) if args.keep_timesteps else TIMESTEPS:
        annotator = Annotator(pipeline, timesteps=timesteps, seeds=default.seeds, width=side, height=side)
        evidence = read_scenes(annotator, scenes)
        figure = record({"timesteps": timesteps}, mean_iou(scenes, evidence, names, {}))
        if figure > best:
            best, found = figure, evidence
    kept: Settings = {}
    for group in refine_groups():
        figures = [record(kept | one, mean_iou(scenes, found, names, kept | one)) for one in group]
        if max(figures) > best:
            best = max(figures)
            kept |= group[figures.index(best)]
    print(f"best: {best} with {kept}")


if __name__ == "__main__":
    main()
