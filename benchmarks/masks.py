"""The mask stage beside the exhaustive sweep: what refine's choice of thresholds saves.

The bundled model draws pictures; they are enlarged to ``--size`` and get the grain that enlarging takes away. For each,
thresholds are chosen twice: by refine's sweep, and by DiffuMask's, a dense CRF of its own for each of 20 candidates.
Seconds are those of one core (CPU time). ``research.threshold_agreement`` measures the same on rendered scenes.

    python -m benchmarks.masks                                # 8 pictures of 512²
    python -m benchmarks.masks --size 256 --json build/bench/masks.json
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from benchmarks.machine import describe, make_parser, write_result
from dsfactory.core.classes import ClassSpec
from dsfactory.crf.crf import dense_crf
from dsfactory.crf.crf_cpu import softmax
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.thumbnail import Thumbnail
from dsfactory.models.loading import load_pipeline
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import coarse_masks, fused_maps, refine_mask, scaled_kernels
from dsfactory.stages.refine.threshold import (
    candidate_thresholds,
    choose_threshold,
    mask_iou,
    soft_logits,
    sweep_agreement,
    swept,
)

GRAIN = 4.0
"""Standard deviation of the grain, in grey levels."""


STEP = 0.01


class HasImage(Protocol):
    """A scene or a picture; only its image is read."""

    @property
    def image(self) -> np.ndarray: ...


class Picture(NamedTuple):
    image: np.ndarray


def draw(count: int, size: int) -> tuple[list[Picture], list[Evidence]]:
    """Pictures of the bundled model, enlarged, and what attention said of them."""
    pipeline = load_pipeline("pocket", "cpu")
    names = ("dog", "bird", "cat", "car")
    requests = [
        Request(f"a {name} on the grass", number, (ClassSpec(name=name),))
        for number, name in enumerate(names[number % len(names)] for number in range(count))
    ]
    sampler = Sampler(pipeline, width=128, height=128, steps=20, guidance=4.0, find_mentions=find_mentions)
    rng = np.random.default_rng(0)
    pictures, evidence = [], []
    for drawing in sampler.draw(requests):
        assert drawing.image is not None and drawing.evidence is not None, drawing.reason
        large = cv2.resize(drawing.image, (size, size), interpolation=cv2.INTER_CUBIC)
        grained = large + rng.normal(0.0, GRAIN, large.shape)
        pictures.append(Picture(np.clip(grained, 0, 255).astype(np.uint8)))
        evidence.append(drawing.evidence)
    return pictures, evidence


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


def measure_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    result = measure(*draw(arguments.pictures, arguments.size))
    seconds = result["seconds_per_scene"]
    return {**result, "stage_over_sweep": seconds["whole_stage"] / seconds["exhaustive"]}


def report(result: dict[str, Any]) -> str:
    ran, seconds = result["settings"], result["seconds_per_scene"]
    return "\n".join(
        [
            f"{result['scenes']} pictures of the bundled model at {ran['size']}², one core",
            describe(result["machine"]),
            f"20 dense CRFs   {seconds['exhaustive']:8.3f} s a picture",
            f"choice          {seconds['quick']:8.3f} s",
            f"whole stage     {seconds['whole_stage']:8.3f} s   goal ≤ 0.15 s at 512²",
            f"stage ÷ sweep   {result['stage_over_sweep']:8.3f}",
            f"same choice     {result['same_choice']:8.0%}     within 0.01: {result['within_0.01']:.0%}",
        ]
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--pictures", type=int, default=8, help="how many")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(report(write_result(arguments, measure_arguments(arguments))))


if __name__ == "__main__":
    main()
