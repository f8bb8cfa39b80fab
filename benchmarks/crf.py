"""Our dense CRF beside pydensecrf: seconds of one core for growing numbers of labels, and how well they agree.

Pictures of noisy discs and probabilities as blurred and uncertain as attention's go through both, in interleaved pairs.
Seconds are CPU time: other work on the machine counts less.

    python -m benchmarks.crf                                   # 512², 2, 4 and 21 labels
    python -m benchmarks.crf --size 256 --labels 2 --json build/bench/crf.json
"""

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from benchmarks.machine import describe, interleaved, make_parser, summary, write_result
from benchmarks.synthetic import scene
from dsfactory.refine.crf import Backend, dense_crf, softmax
from dsfactory.refine.kernels import Kernels
from dsfactory.refine.threshold import mask_iou

OURS: Backend = "lattice"
THEIRS: Backend = "pydensecrf"
BLOCK = 8
"""Side of the cells of the probabilities, in pixels: they are as coarse as attention."""


def problem(number: int, size: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """An image, and float32 probabilities ``(labels, size, size)`` of which the scene's mask is one label."""
    drawn = scene(number, size)
    rng = np.random.default_rng(number)
    truth = np.where(drawn.mask > 0, 1 + number % (labels - 1), 0)
    cells = size // BLOCK
    shares = np.stack([(truth == k).reshape(cells, BLOCK, cells, BLOCK).mean(axis=(1, 3)) for k in range(labels)])
    logits = 4 * shares + rng.normal(0, 0.5, shares.shape)
    large = [cv2.resize(one.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR) for one in logits]
    return drawn.image, softmax(np.stack(large))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    kernels = Kernels().scaled(arguments.size / 512)
    rows = []
    for labels in arguments.labels:
        seconds: dict[Backend, list[float]] = {OURS: [], THEIRS: []}
        overlaps = []
        for number in range(arguments.pictures):
            image, probabilities = problem(number, arguments.size, labels)
            winners = {}
            for arm in interleaved((OURS, THEIRS), arguments.pairs):
                start = time.process_time()
                posterior = dense_crf(image, probabilities, kernels, backend=arm)
                seconds[arm].append(time.process_time() - start)
                winners[arm] = posterior.argmax(axis=0)
            overlaps += [
                mask_iou(winners[OURS] == k, winners[THEIRS] == k)
                for k in range(labels)
                if (winners[THEIRS] == k).any()
            ]
        ratios = [ours / theirs for ours, theirs in zip(seconds[OURS], seconds[THEIRS], strict=True)]
        rows.append(
            {
                "labels": labels,
                "seconds": {arm: summary(values) for arm, values in seconds.items()},
                "ratio": summary(ratios),
                "mean_iou": float(np.mean(overlaps)),
            }
        )
    return {"crf": rows}


def report(result: dict[str, Any]) -> str:
    lines = [f"dense CRF at {result['settings']['size']}², 10 updates, CPU seconds", describe(result["machine"])]
    for row in result["crf"]:
        ours, theirs, ratio = row["seconds"][OURS], row["seconds"][THEIRS], row["ratio"]
        lines.append(
            f"{row['labels']:>3} labels   ours {ours['median']:6.3f} s   pydensecrf {theirs['median']:6.3f} s   "
            f"ours ÷ pydensecrf {ratio['median']:6.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})   "
            f"mean IoU {row['mean_iou']:.4f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels, a multiple of 8")
    parser.add_argument("--labels", type=int, nargs="+", default=[2, 4, 21], help="numbers of labels, background too")
    parser.add_argument("--pictures", type=int, default=3, help="pictures per number of labels")
    parser.add_argument("--pairs", type=int, default=2, help="how often each arm refines a picture")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
