"""Our dense CRF beside pydensecrf: seconds of one core for growing numbers of labels, and how well they agree.

Pictures of noisy discs and probabilities as blurred and uncertain as attention's go through both, in interleaved pairs.
Seconds are CPU time: other work on the machine counts less.

    python -m benchmarks.crf                                   # 512², 2, 4 and 21 labels
    python -m benchmarks.crf --size 256 --labels 2 --json build/bench/crf.json
    python -m benchmarks.crf --device cuda                     # ours on a GPU beside ours on the CPU, wall time
"""

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch

from benchmarks.machine import describe, interleaved, machine, make_parser, now, summary, write_result
from benchmarks.synthetic import scene
from dsfactory.crf.crf import Backend, dense_crf, dense_crf_batch
from dsfactory.crf.crf_cpu import softmax
from dsfactory.crf.kernels import Kernels
from dsfactory.models.devices import choose_device
from dsfactory.stages.refine.threshold import mask_iou

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


def measure_device(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Seconds per picture of ours: a batch that lies on the device, and one picture after the other on the CPU."""
    kernels = Kernels().scaled(arguments.size / 512)
    rows = []
    for labels in arguments.labels:
        problems = [problem(number, arguments.size, labels) for number in range(arguments.pictures)]
        images = torch.from_numpy(np.stack([image for image, _ in problems])).to(device)
        probabilities = torch.from_numpy(np.stack([shares for _, shares in problems])).to(device)
        seconds: dict[str, list[float]] = {"device": [], "cpu": []}
        dense_crf_batch(images, probabilities, kernels)  # warm-up
        for arm in interleaved(("device", "cpu"), arguments.pairs):
            start = now(device)
            if arm == "device":
                found = dense_crf_batch(images, probabilities, kernels)
            else:
                expected = np.stack([dense_crf(*one, kernels, backend=OURS) for one in problems])
            seconds[arm].append((now(device) - start) / arguments.pictures)
        same = float((found.argmax(1).cpu().numpy() == expected.argmax(1)).mean())
        rows.append({"labels": labels, "seconds": {k: summary(v) for k, v in seconds.items()}, "same_pixels": same})
    return {"machine": machine(device), "crf_device": rows}


def report_device(result: dict[str, Any]) -> str:
    ran = result["settings"]
    lines = [f"our dense CRF at {ran['size']}², 10 updates, {ran['pictures']} pictures", describe(result["machine"])]
    lines += [
        f"{row['labels']:>3} labels   on the device in a batch {row['seconds']['device']['median']:7.4f} s a picture   "
        f"on a core {row['seconds']['cpu']['median']:6.3f} s   same label {row['same_pixels']:.4%} of pixels"
        for row in result["crf_device"]
    ]
    return "\n".join(lines)


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
    parser.add_argument("--device", default="cpu", help="cuda: compare the GPU with a core, in place of pydensecrf")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    device = choose_device(arguments.device)
    if device.type == "cpu":
        print(report(write_result(arguments, measure(arguments))))
    else:
        print(report_device(write_result(arguments, measure_device(arguments, device))))


if __name__ == "__main__":
    main()
