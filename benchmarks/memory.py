"""What attention capture costs in memory: the peak while drawing, beside that of the bare diffusers pipeline.

Each arm draws in a process of its own, so that neither finds the other's buffers. What counts is the peak from the
loaded model on: resident memory of the process on the CPU (Linux), allocated memory of the device on CUDA.

    python -m benchmarks.memory                      # 512², 1 step
    python -m benchmarks.memory --batch-size 4 --json build/bench/memory.json
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import diffusers
import torch

from benchmarks.capture import add_drawing_flags, draw_bare, draw_captured, make_sampler
from benchmarks.machine import describe, machine, make_parser, write_result
from benchmarks.models import FAMILIES
from dsfactory.models.devices import DTYPES, choose_device

ARMS = ("bare", "capture")


def peak_mb(arm: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Draw a batch in this process; memory with the loaded model, and the most while drawing, in MB."""
    device = choose_device(arguments.device)
    pipeline = FAMILIES[arguments.family].build(DTYPES[arguments.dtype], device)
    loaded = _reset_peak(device)
    if arm == "bare":
        draw_bare(pipeline, arguments)
    else:
        draw_captured(make_sampler(pipeline, arguments), arguments)
    return {"loaded_mb": loaded, "peak_mb": _peak(device)}


def _reset_peak(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls to what is resident now
    return _peak(device)


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def measure(arguments: argparse.Namespace, flags: list[str]) -> dict[str, Any]:
    device, arms = choose_device(arguments.device), {}
    for arm in ARMS:
        worker = [sys.executable, "-m", "benchmarks.memory", *flags, "--once", arm]
        arms[arm] = json.loads(subprocess.run(worker, check=True, stdout=subprocess.PIPE, text=True).stdout)
    place = machine(device)
    return {"machine": place, "arms": arms, "ratio": arms["capture"]["peak_mb"] / arms["bare"]["peak_mb"]}


def report(result: dict[str, Any]) -> str:
    ran = result["settings"]
    lines = [
        f"{FAMILIES[ran['family']].title}, random weights, {ran['size']}² px, batch {ran['batch_size']}, "
        f"{ran['dtype']}, self-attention {'captured too' if ran['affinity'] else 'not captured'}",
        describe(result["machine"]),
    ]
    for arm, found in result["arms"].items():
        lines.append(f"{arm:<16}{found['peak_mb']:8.0f} MB at the peak, {found['loaded_mb']:.0f} with the loaded model")
    lines.append(f"capture ÷ bare  {result['ratio']:8.3f}    goal ≤ 1.02")
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__)
    add_drawing_flags(parser)
    parser.set_defaults(size=512, steps=1)
    parser.add_argument("--once", choices=ARMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    if arguments.once:
        print(json.dumps(peak_mb(arguments.once, arguments)))
        return
    del arguments.once
    print(report(write_result(arguments, measure(arguments, sys.argv[1:]))))


if __name__ == "__main__":
    main()
