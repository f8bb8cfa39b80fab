"""Does the adaptive threshold choose what the exhaustive sweep of DiffuMask chooses, and how much faster?

    python -m scripts.threshold_agreement --packages node_modules/@iconify-json --seed 211 \\
        --json docs/figures/threshold-211.json

Rendered scenes of the training styles, at 128² and at 512² (``--large``), are encoded, noised and passed through the
pocket model's UNet, as in ``scripts.pocket.measure``. For every class of every scene the threshold is chosen twice: by
refine's sweep, and by a dense CRF of its own at full size for every one of the 20 candidates; the same rule
(:func:`dsfactory.stages.refine.threshold.choose_threshold`) reads the threshold off either. Choices are the same when
they differ by no more than half a step of the sweep. Times are seconds of one core per scene, all classes; the quick
choice is timed with its lattice.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from benchmarks.machine import machine
from dsfactory.crf.crf import dense_crf
from dsfactory.crf.crf_cpu import softmax
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.thumbnail import THUMBNAIL_SIDE, Thumbnail
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import coarse_masks, fused_maps, refine_mask, scaled_kernels
from dsfactory.stages.refine.threshold import (
    CLOSE,
    STRIDE,
    candidate_thresholds,
    choose_threshold,
    mask_iou,
    soft_logits,
    sweep_agreement,
    swept,
)
from scripts.pocket.measure import NOISE_SEEDS, SIZE, TIMESTEPS, read_scene, rendered_scenes
from scripts.pocket.scenes import Scene
from scripts.pocket.stickers import TRAIN_STYLES, load_stickers

STEP = 0.01


class HasImage(Protocol):
    """A scene or a picture, of which only the image is looked at."""

    @property
    def image(self) -> np.ndarray: ...


def look(annotator: Annotator, scenes: list[Scene]) -> list[Evidence]:
    """The pocket model's evidence of each scene, which it sees at its own size."""
    small = [
        replace(scene, image=cv2.resize(scene.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)) for scene in scenes
    ]
    return [read_scene(annotator, scene, number) for number, scene in enumerate(small)]


def exhaustive(
    image: np.ndarray, fused: np.ndarray, coarse: np.ndarray, candidates: Sequence[float], config: RefineConfig,
    kernels: Kernels,
) -> np.ndarray:  # fmt: skip
    """A two-label dense CRF at full size for every candidate of every class: IoU [classes, candidates]."""
    agreement = np.empty((len(fused), len(candidates)))
    for row, one, target in zip(agreement, fused, coarse, strict=True):
        for k, candidate in enumerate(candidates):
            logits = soft_logits(one[None], [candidate], config.sharpness)
            start = softmax(np.concatenate([np.zeros_like(logits), logits]))
            row[k] = mask_iou(dense_crf(image, start, kernels, config.crf_iterations).argmax(0) == 1, target)
    return agreement


def quick_agreement(
    image: np.ndarray, fused: np.ndarray, coarse: np.ndarray, tried: Sequence[float], config: RefineConfig,
    kernels: Kernels,
) -> np.ndarray:  # fmt: skip
    """Refine's sweep with its lattice: IoU [classes, tried]."""
    return sweep_agreement(Thumbnail(image, kernels), fused, coarse, tried, config.sharpness, config.crf_iterations)


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What the work returns, and the seconds that it took of the core."""
    start = time.process_time()
    done = work(*arguments)
    return done, time.process_time() - start


def measure(scenes: Sequence[HasImage], evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Agreement of the two choices, and the time of each."""
    config = RefineConfig()
    candidates = candidate_thresholds(config.threshold_low, config.threshold_high)
    tried = swept(candidates)
    gaps, losses, seconds = [], [], {"exhaustive": 0.0, "quick": 0.0, "whole_stage": 0.0}
    for scene, one in zip(scenes, evidence, strict=True):
        size = scene.image.shape[:2]
        kernels = scaled_kernels(config, size)
        fused, whole = fused_maps(one.cross, one.affinity, size, config)
        coarse = coarse_masks(whole)
        full, spent = timed(exhaustive, scene.image, fused, coarse, candidates, config, kernels)
        seconds["exhaustive"] += spent
        quick, spent = timed(quick_agreement, scene.image, fused, coarse, tried, config, kernels)
        seconds["quick"] += spent
        ids = range(1, len(fused) + 1)
        _, spent = timed(refine_mask, scene.image, one.cross, one.affinity, ids, config)
        seconds["whole_stage"] += spent
        for wanted, got in zip(full, quick, strict=True):
            chosen = choose_threshold(got, tried, candidates)
            gaps.append(abs(chosen - choose_threshold(wanted, candidates, candidates)))
            losses.append(wanted.max() - np.interp(chosen, candidates, wanted))
    return {
        "scenes": len(scenes),
        "choices": len(gaps),
        "same_choice": float(np.mean(np.array(gaps) <= STEP / 2)),
        "within_0.01": float(np.mean(np.array(gaps) <= STEP)),
        "gap_mean": float(np.mean(gaps)),
        "gap_most": float(np.max(gaps)),
        "agreement_lost_mean": float(np.mean(losses)),
        "agreement_lost_most": float(np.max(losses)),
        "seconds_per_scene": {name: round(value / len(scenes), 4) for name, value in seconds.items()},
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--model", type=Path, default=Path("dsfactory/models/pocket"))
    parser.add_argument("--scenes", type=int, default=64, help="scenes of 128²")
    parser.add_argument("--large", type=int, default=40, help="scenes of 512²")
    parser.add_argument("--seed", type=int, default=106)
    parser.add_argument("--json", type=Path, default=None, help="write the figures there too")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pipeline: Any = StableDiffusionPipeline.from_pretrained(args.model)  # type: ignore[no-untyped-call]
    annotator = Annotator(pipeline, timesteps=TIMESTEPS, seeds=NOISE_SEEDS, width=SIZE, height=SIZE)
    stickers = load_stickers(args.packages, TRAIN_STYLES)
    figures: dict[str, Any] = {
        "machine": machine(),
        "close": CLOSE,
        "stride": STRIDE,
        "sweep_side": THUMBNAIL_SIDE,
    }
    for side, count in ((SIZE, args.scenes), (512, args.large)):
        if count:
            scenes = list(rendered_scenes(stickers, count, args.seed, side))
            figures[f"{side}x{side}"] = measure(scenes, look(annotator, scenes))
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json is not None:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
