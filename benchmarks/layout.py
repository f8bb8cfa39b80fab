"""Whether channels-last memory makes drawing faster: a UNet of Stable Diffusion 1.5's size with random weights.

One step of the UNet in both layouts, in interleaved pairs, per number format. Seconds are CPU time on a CPU and wall
time on a GPU.

    python -m benchmarks.layout                                # 256², fp32 and bf16
    python -m benchmarks.layout --size 512 --dtypes fp16 --device cuda --json build/bench/layout.json
"""

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from diffusers import UNet2DConditionModel

from benchmarks.machine import describe, interleaved, machine, make_parser, now, summary, write_result
from dsfactory.models.devices import DTYPES, choose_device

FIRST, LAST = "channels first", "channels last"
LAYOUTS = {FIRST: torch.contiguous_format, LAST: torch.channels_last}


@torch.no_grad()
def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    device = choose_device(arguments.device)
    torch.manual_seed(0)
    widths = (320, 640, 1280, 1280)
    unet: Any = UNet2DConditionModel(
        sample_size=64, block_out_channels=widths, cross_attention_dim=768, attention_head_dim=8
    )
    unet.eval().to(device)
    rows = {}
    for name in arguments.dtypes:
        unet.to(DTYPES[name])
        side = arguments.size // 8
        latents = torch.randn(2 * arguments.batch_size, 4, side, side, device=device, dtype=DTYPES[name])
        text = torch.randn(2 * arguments.batch_size, 77, 768, device=device, dtype=DTYPES[name])
        seconds: dict[str, list[float]] = {FIRST: [], LAST: []}
        for turn, arm in enumerate(("warm-up", *interleaved((FIRST, LAST), arguments.pairs))):
            layout = LAYOUTS.get(arm, torch.contiguous_format)
            unet.to(memory_format=layout)
            given = latents.to(memory_format=layout)
            start = now(device)
            unet(given, 500, text)
            if turn:
                seconds[arm].append(now(device) - start)
        ratios = [last / first for first, last in zip(seconds[FIRST], seconds[LAST], strict=True)]
        rows[name] = {"seconds": {arm: summary(values) for arm, values in seconds.items()}, "ratio": summary(ratios)}
    place = machine(device)
    return {"machine": place, "formats": rows}


def report(result: dict[str, Any]) -> str:
    ran = result["settings"]
    lines = [f"a step of Stable Diffusion 1.5's UNet, random weights, {ran['size']}², batch {ran['batch_size']}"]
    lines.append(describe(result["machine"]))
    for name, row in result["formats"].items():
        first, last, ratio = row["seconds"][FIRST], row["seconds"][LAST], row["ratio"]
        lines.append(
            f"{name}   channels first {first['median']:7.3f} s   last {last['median']:7.3f} s   "
            f"last ÷ first {ratio['median']:6.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})"
        )
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--batch-size", type=int, default=1, help="images per batch; guidance doubles it")
    parser.add_argument("--pairs", type=int, default=2, help="how often each layout computes a step")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
