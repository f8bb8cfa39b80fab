"""How near STAPLE's IoU comes to the true one: three labellers of rendered scenes whose masks are known.

The labellers are the pocket model's attention (`annotate` and `refine`, told the classes), and two networks that learnt
from other rendered scenes: EfficientNet-Lite0, and a small one from scratch.

    python -m research.staple --art ART [--scenes 120] [--train 400] [--steps 300] [--seeds 1]
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsfactory.evaluate.agreement import patterns, staple
from dsfactory.models.loading import load_pipeline
from dsfactory.segment.config import BUNDLED, SegmentConfig
from dsfactory.segment.metrics import class_iou, confusion
from dsfactory.segment.network import build_segmenter
from dsfactory.segment.predict import predict_labels
from dsfactory.segment.train import train_segmenter
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from scripts.pocket.measure import NOISE_SEEDS, SIZE, TIMESTEPS, read_scene, rendered_scenes
from scripts.pocket.scenes import Scene, group_by_class
from scripts.pocket.stickers import TEST_STYLES, TRAIN_STYLES, load_stickers

Ids = NDArray[np.uint8]


def in_run(scene: Scene, labels: Ids, names: tuple[str, ...]) -> Ids:
    """A scene's labels in the ids of all classes; 255 stays."""
    table = np.zeros(256, np.uint8)
    table[255] = 255
    for number, name in enumerate(scene.classes, start=1):
        table[number] = names.index(name) + 1
    return table[labels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--test-styles", action="store_true", help="scenes of a style that no network has seen")
    args = parser.parse_args()
    stickers = load_stickers(args.art, TRAIN_STYLES)
    names = tuple(group_by_class(stickers))
    labels = len(names) + 1
    shown = load_stickers(args.art, TEST_STYLES) if args.test_styles else stickers
    annotator = Annotator(load_pipeline("pocket", "cpu"), timesteps=TIMESTEPS, seeds=NOISE_SEEDS,
                          width=SIZE, height=SIZE)  # fmt: skip
    for seed in range(args.seeds):
        learnt = [
            (one.image, in_run(one, one.labels, names)) for one in rendered_scenes(stickers, args.train, 900 + seed)
        ]
        networks = []
        for checkpoint, steps in ((BUNDLED, args.steps), (None, 2 * args.steps)):
            config = SegmentConfig(checkpoint=checkpoint, steps=steps)
            network = build_segmenter(labels, config, seed)
            train_segmenter(network, learnt, config, seed)
            networks.append(network)
        scenes = list(rendered_scenes(shown, args.scenes, 100 + seed))
        predictions = [list(predict_labels(one, [scene.image for scene in scenes], 128)) for one in networks]
        counts = np.zeros((labels, 27), np.int64)
        true = np.zeros((3, labels, labels), np.int64)
        agreement: list[list[float]] = []
        for number, scene in enumerate(scenes):
            evidence = read_scene(annotator, scene, number)
            ids = range(1, len(scene.classes) + 1)
            own = refine_mask(scene.image, evidence.cross, evidence.affinity, ids, RefineConfig()).labels
            raters = [in_run(scene, own, names), *(one[number] for one in predictions)]
            truth = in_run(scene, scene.labels, names)
            for place, rater in enumerate(raters):
                true[place] += confusion(np.where(rater == 255, 255, truth).astype(np.uint8), rater, labels)
            for label in {*np.unique(np.stack(raters)).tolist()} - {0, 255}:
                counts[label] += patterns(raters, label)
            pair = class_iou(confusion(raters[0], np.where(raters[0] == 255, 0, raters[1]).astype(np.uint8), labels))
            real = class_iou(confusion(truth, np.where(raters[0] == 255, 0, raters[0]).astype(np.uint8), labels))
            agreement.append([float(np.nanmean(pair[1:])), float(np.nanmean(real[1:]))])
        errors = []
        print(f"| class | {' | '.join(f'{one}: true, estimated' for one in ('attention', 'Lite0', 'small'))} |")
        for label, name in enumerate(names, start=1):
            found = staple(counts[label], 3)
            assert found is not None
            real = [float(class_iou(one)[label]) for one in true]
            errors.append([abs(item.iou - value) for item, value in zip(found, real, strict=True)])
            cells = (f"{value:.3f}, {item.iou:.3f}" for item, value in zip(found, real, strict=True))
            print(f"| {name} | {' | '.join(cells)} |")
        ranks = np.argsort(np.argsort(np.array(agreement), axis=0), axis=0)
        rank = float(np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1])
        print(json.dumps({"seed": seed, "scenes": args.scenes, "mean_error": float(np.mean(errors)),
                          "largest_error": float(np.max(errors)),
                          "error_per_labeller": np.mean(errors, axis=0).round(4).tolist(),
                          "rank_correlation_per_image": rank}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
