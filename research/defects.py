"""Are painted flaws worth learning from? A network learns them, and is tested on flaws of another generator.

Clean pictures show one thing, as an inspection does: one sticker, turned, scaled and on other grounds, another one for
each seed. The hidden flaws are drawn by other code than dsfactory's: strokes, chips of the
background, spots and smears. For each source of `dsfactory defects` a network (EfficientNet-Lite0, two labels) learns
from painted pictures; pixel AP and AUROC are those of all pixels of the test.

    python -m research.defects --art ART [--pictures 150] [--tests 100] [--steps 300] [--seeds 1]
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.segment.config import BUNDLED, SegmentConfig
from dsfactory.segment.network import build_segmenter
from dsfactory.segment.predict import predict
from dsfactory.segment.train import train_segmenter
from dsfactory.stages.defects.clean import region_of
from dsfactory.stages.defects.config import DefectsConfig
from dsfactory.stages.defects.paint import paint
from scripts.pocket.scenes import Scene, compose_scene
from scripts.pocket.stickers import TRAIN_STYLES, Sticker, load_stickers

KINDS = ("scratch", "stain", "crack", "dent")
Pixels = NDArray[np.uint8]


def hidden(image: Pixels, inside: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Pixels, NDArray[np.bool_]]:
    """A flaw of the other generator: an ellipse arc, a chip in the background's colour, spots, or a smear."""
    height, width = image.shape[:2]
    places = np.argwhere(inside)
    row, column = places[rng.integers(len(places))]
    centre = (int(column), int(row))
    shape = np.zeros((height, width), np.uint8)
    kind = rng.integers(4)
    flawed = image.copy()
    if kind == 0:
        axes = tuple(int(one) for one in rng.integers(8, 30, 2))
        start = float(rng.uniform(0, 360))
        span = float(rng.uniform(40, 160))
        cv2.ellipse(shape, centre, axes, float(rng.uniform(0, 180)), start, start + span, 1, int(rng.integers(1, 3)))
        colour = np.array([245, 245, 240] if rng.random() < 0.5 else [25, 22, 20])
        flawed[shape > 0] = (0.2 * image[shape > 0] + 0.8 * colour).astype(np.uint8)
    elif kind == 1:
        corners = np.array(centre) + rng.integers(-9, 10, (5, 2))
        cv2.fillConvexPoly(shape, cv2.convexHull(corners.astype(np.int32)), 1)
        flawed[shape > 0] = np.median(image[~inside], axis=0)
    elif kind == 2:
        for _ in range(int(rng.integers(3, 8))):
            spot = np.array(centre) + rng.integers(-10, 11, 2)
            cv2.circle(shape, (int(spot[0]), int(spot[1])), int(rng.integers(1, 4)), 1, -1)
        flawed[shape > 0] = (image[shape > 0] * rng.uniform(0.1, 0.5)).astype(np.uint8)
    else:
        cv2.ellipse(
            shape,
            centre,
            (int(rng.integers(5, 14)), int(rng.integers(3, 8))),
            float(rng.uniform(0, 180)),
            0,
            360,
            1,
            -1,
        )
        smear = cv2.blur(image, (15, 15)).astype(np.float32) * rng.uniform(0.6, 1.3, 3)
        flawed[shape > 0] = smear.clip(0, 255)[shape > 0].astype(np.uint8)
    shape[~inside] = 0
    flawed[shape == 0] = image[shape == 0]
    return flawed, (np.abs(flawed.astype(int) - image).max(axis=2) > 8) & (shape > 0)


def product(stickers: list[Sticker], seed: int, number: int) -> Scene:
    """A picture of the thing that is inspected."""
    one = stickers[(37 * seed + 11) % len(stickers)]
    rng = np.random.default_rng([seed, number])
    return compose_scene({one.class_name: [one]}, (one.class_name,), ("wall", "road", "snow")[number % 3], rng, 128)


def scores(truth: NDArray[np.bool_], values: NDArray[np.float32]) -> tuple[float, float]:
    """Average precision and area under the ROC curve, of all pixels."""
    order = np.argsort(-values, kind="stable")
    right = truth[order].astype(np.float64)
    hits, alarms = np.cumsum(right), np.cumsum(1 - right)
    precision = hits / (hits + alarms)
    auroc = float(np.trapezoid(hits / hits[-1], alarms / alarms[-1]))
    return float((precision * right).sum() / hits[-1]), auroc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--tests", type=int, default=100)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    stickers = load_stickers(args.art, TRAIN_STYLES)
    for seed in range(args.seeds):
        clean = [product(stickers, seed, number) for number in range(args.pictures)]
        rng = np.random.default_rng(seed)
        tests = []
        for scene in (product(stickers, seed, 100_000 + number) for number in range(args.tests)):
            made = hidden(scene.image, scene.labels > 0, rng)
            tests.append(made if rng.random() < 0.5 else (scene.image, np.zeros(scene.labels.shape, bool)))
        for source in ("noise", "texture"):
            painted, seconds = [], 0.0
            for number in range(4 * len(clean)):
                image = clean[number % len(clean)].image
                start = time.perf_counter()
                inside, _ = region_of(image, "auto", "")
                config, draws = DefectsConfig(source=source), np.random.default_rng([seed, number])
                mask = np.zeros(inside.shape, np.uint8)
                if draws.random() >= 0.5:
                    found = paint(image, KINDS[number % 4], inside, config, draws, clean[number % 7].image)
                    image, mask = found.picture, found.mask
                seconds += time.perf_counter() - start
                painted.append((image, mask))
            config = SegmentConfig(checkpoint=BUNDLED, steps=args.steps)
            network = build_segmenter(2, config, seed)
            train_segmenter(network, painted, config, seed)
            values = [one[1] for one in predict(network, [image for image, _ in tests], 128)]
            truth = np.concatenate([one.ravel() for _, one in tests])
            ap, auroc = scores(truth, np.concatenate([one.ravel() for one in values]))
            print(json.dumps({"seed": seed, "source": source, "ap": round(ap, 3), "auroc": round(auroc, 4),
                              "pictures_per_minute": round(60 * len(painted) / seconds)}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
