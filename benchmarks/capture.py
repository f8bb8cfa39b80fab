"""What attention capture costs: ``dsfactory``'s sampler beside the bare diffusers pipeline.

A model with the layers of a real one and random weights draws the same prompts from the same seeds with and without
capture, in pairs (with, without, without, with …) in one process, so that both see the same machine. Seconds are CPU
time on a CPU and wall time on a GPU. Runs of equal work differ by a few percent, so the capture's own time is measured
from the inside as well.

    python -m benchmarks.capture                        # 256², 4 steps
    python -m benchmarks.capture --size 512 --affinity --json capture.json
    python -m benchmarks.capture --family sd3           # or sdxl, flux
"""

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import diffusers
import torch

from benchmarks.machine import describe, interleaved, machine, make_parser, now, summary, write_result
from benchmarks.models import FAMILIES
from dsfactory.core.classes import ClassSpec
from dsfactory.models.devices import DTYPES, choose_device
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions

PROMPT = "a photo of a dog on the grass"
CLASSES = (ClassSpec(name="dog"),)
GUIDANCE = 7.5


def make_sampler(pipeline: Any, arguments: argparse.Namespace, timed: bool = False) -> Sampler:
    return Sampler(
        pipeline,
        width=arguments.size,
        height=arguments.size,
        steps=arguments.steps,
        guidance=GUIDANCE,
        find_mentions=find_mentions,
        batch_size=arguments.batch_size,
        affinity=arguments.affinity,
        timed=timed,
    )


def draw_captured(sampler: Sampler, arguments: argparse.Namespace) -> list[Any]:
    """A batch with its evidence."""
    return list(sampler.draw([Request(PROMPT, seed, CLASSES) for seed in range(arguments.batch_size)]))


def draw_bare(pipeline: Any, arguments: argparse.Namespace) -> Any:
    """The same batch by diffusers alone."""
    return pipeline(
        [PROMPT] * arguments.batch_size,
        width=arguments.size,
        height=arguments.size,
        num_inference_steps=arguments.steps,
        guidance_scale=GUIDANCE,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in range(arguments.batch_size)],
        output_type="np",
    ).images


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    device = choose_device(arguments.device)
    pipeline = FAMILIES[arguments.family].build(DTYPES[arguments.dtype], device)
    plain, observed = make_sampler(pipeline, arguments), make_sampler(pipeline, arguments, timed=True)
    drawings = draw_captured(plain, arguments)  # warm-up of both arms
    draw_bare(pipeline, arguments)
    seconds: dict[str, list[float]] = {"capture": [], "bare": []}
    for arm in interleaved(("capture", "bare"), arguments.pairs):
        start = now(device)
        if arm == "capture":
            drawings = draw_captured(plain, arguments)
        else:
            draw_bare(pipeline, arguments)
        seconds[arm].append(now(device) - start)
    start = time.perf_counter()
    draw_captured(observed, arguments)
    share = observed.capture_seconds / (time.perf_counter() - start)
    ratios = [with_capture / without for with_capture, without in zip(seconds["capture"], seconds["bare"], strict=True)]
    return {
        "machine": machine(device),
        "seconds": {arm: summary(values) for arm, values in seconds.items()},
        "ratio": summary(ratios),
        "capture_share": share,
        "evidence_bytes_per_image": len(drawings[0].evidence.to_bytes()),
    }


def report(result: dict[str, Any]) -> str:
    place, ran = result["machine"], result["settings"]
    lines = [
        f"{FAMILIES[ran['family']].title}, random weights, {ran['size']}² px, {ran['steps']} steps, batch "
        f"{ran['batch_size']}, {ran['dtype']}, {ran['pairs']} pairs, self-attention "
        f"{'captured too' if ran['affinity'] else 'not captured'}",
        describe(place),
    ]
    for arm, values in result["seconds"].items():
        lines.append(f"{arm:<24}{values['median']:8.2f} s   ({values['min']:.2f} to {values['max']:.2f})")
    ratio = result["ratio"]
    lines += [
        f"{'capture ÷ bare':<24}{ratio['median']:8.3f}     ({ratio['min']:.3f} to {ratio['max']:.3f}), goal ≤ 1.01",
        f"{'own share of the time':<24}{result['capture_share']:8.2%}     goal ≤ {'3' if ran['affinity'] else '1.5'} %",
        f"{'evidence per image':<24}{result['evidence_bytes_per_image'] / 1024:8.1f} KB  goal ≤ 32 KB",
    ]
    return "\n".join(lines)


def add_drawing_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", choices=FAMILIES, default="sd15", help="architecture that draws")
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--steps", type=int, default=4, help="denoising steps per image")
    parser.add_argument("--batch-size", type=int, default=1, help="images per batch")
    parser.add_argument("--affinity", action="store_true", help="capture self-attention too")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="auto")


def main() -> None:
    parser = make_parser(__doc__)
    add_drawing_flags(parser)
    parser.add_argument("--pairs", type=int, default=6, help="how often each arm draws a batch")
    arguments = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
