"""Masks made on a GPU beside the CPU's: how many pixels are equal, and what an image costs on either.

    python -m benchmarks.gpu_masks --device cuda

Images are painted scenes of 512² pixels with one to three things, attention maps their blurred masks with noise.
"""

import time
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.machine import describe, machine, make_parser, summary, write_result
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask

SIZE = 512


def scene(seed: int) -> tuple[np.ndarray, dict[tuple[int, int], np.ndarray]]:
    """An image and the attention maps of its one to three things, by grid."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE, 3), rng.integers(120, 220, 3), np.float32)
    masks = []
    for _ in range(1 + seed % 3):
        mask = np.zeros((SIZE, SIZE), np.float32)
        centre, axes = rng.integers(130, 382, 2), rng.integers(50, 120, 2)
        cv2.ellipse(mask, centre.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        image[mask > 0] = rng.integers(0, 256, 3)
        masks = [np.where(mask > 0, 0.0, one).astype(np.float32) for one in masks] + [mask]
    image += rng.normal(0, 6, image.shape)
    blurred = np.stack([cv2.GaussianBlur(one, (0, 0), 20) for one in masks])
    noisy = np.clip(0.02 + 0.3 * blurred + rng.normal(0, 0.01, blurred.shape), 0, 1).astype(np.float32)
    grids = {(side, side): np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in noisy])
             for side in (16, 32, 64)}  # fmt: skip
    return np.clip(image, 0, 255).astype(np.uint8), grids


def measure(device: str, images: int) -> dict[str, Any]:
    arms = {"lattice": RefineConfig(), f"torch on {device}": RefineConfig(crf_backend="torch", device=device)}
    equal: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for seed in range(-2, images):  # two to warm up
        image, maps = scene(abs(seed))
        found = []
        for name, config in arms.items():
            start = time.perf_counter()
            found.append(refine_mask(image, maps, {(32, 32): maps[32, 32]}, range(1, len(maps[16, 16]) + 1), config))
            if seed >= 0:
                seconds[name].append(time.perf_counter() - start)
        if seed >= 0:
            equal.append(float((found[0].labels == found[1].labels).mean()))
    return {"equal_pixels": summary(equal), "seconds": {name: summary(values) for name, values in seconds.items()}}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=24)
    arguments = parser.parse_args()
    result = measure(arguments.device, arguments.images)
    place = machine(torch.device(arguments.device))
    whole = write_result(arguments, {"machine": place, **result})
    print(describe(whole["machine"]))
    equal = result["equal_pixels"]
    print(f"equal pixels {equal['median']:.5f} ({equal['min']:.5f} to {equal['max']:.5f})")
    for name, values in result["seconds"].items():
        print(f"{name:<16}{1000 * values['median']:8.1f} ms an image ({1000 * values['min']:.1f} to "
              f"{1000 * values['max']:.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
