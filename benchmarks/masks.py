"""The mask stage beside the exhaustive sweep: what refine's choice of thresholds saves.

The bundled model draws pictures; they are enlarged to ``--size`` and get the grain that enlarging takes away. For each,
thresholds are chosen twice: by refine's sweep, and by DiffuMask's, a dense CRF of its own for each of 20 candidates.
Seconds are those of one core (CPU time). ``scripts.threshold_agreement`` measures the same on rendered scenes.

    python -m benchmarks.masks                                # 8 pictures of 512²
    python -m benchmarks.masks --size 256 --json build/bench/masks.json
"""

import argparse
import os
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from benchmarks.machine import describe, make_parser, write_result
from dsfactory.core.config import ClassSpec
from dsfactory.models.loading import load_pipeline
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions
from scripts.threshold_agreement import measure as measure_choices

GRAIN = 4.0
"""Standard deviation of the grain, in grey levels."""


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


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    result = measure_choices(*draw(arguments.pictures, arguments.size))
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
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
