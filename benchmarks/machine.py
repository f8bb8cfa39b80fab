"""What a benchmark says about the machine, and how it sums up repeated measurements."""

import argparse
import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the export benchmark's memory must not begin with torch in it
    import torch


def machine(device: "torch.device | None" = None) -> dict[str, Any]:
    """The processor, its load, the device and the versions that matter.

    Args:
        device: where it ran, unless that is the processor.
    """
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "load": os.getloadavg()[0],
        "device": _name(device),
        "python": platform.python_version(),
        "torch": version("torch"),
        "diffusers": version("diffusers"),
    }


def _name(device: "torch.device | None") -> str:
    if device is None or device.type != "cuda":
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)


def now(device: "torch.device") -> float:
    """Seconds: CPU time on a CPU, where other work counts less that way, and wall time on a GPU."""
    if device.type != "cuda":
        return time.process_time()
    import torch

    torch.cuda.synchronize(device)
    return time.perf_counter()


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def make_parser(page: str | None) -> argparse.ArgumentParser:
    """A benchmark's command line: its module's text as help, and ``--json``."""
    parser = argparse.ArgumentParser(description=page, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    return parser


def write_result(arguments: argparse.Namespace, result: dict[str, Any]) -> dict[str, Any]:
    """Add the machine and the settings to a result, write it where ``--json`` says, and return it."""
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
    settings.pop("json")
    whole = {"settings": settings, **result}
    whole.setdefault("machine", machine())
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(whole, indent=1) + "\n")
    return whole


def describe(place: dict[str, Any]) -> str:
    return (
        f"on {place['device']}: {place['cpu']}, {place['cores']} cores, {place['threads']} threads, "
        f"load {place['load']:.1f}, torch {place['torch']}, diffusers {place['diffusers']}"
    )


def interleaved(arms: tuple[str, ...], pairs: int) -> list[str]:
    """``a b b a a b …``: each arm once per pair, first in every second, so that drift hits both alike."""
    return [arm for pair in range(pairs) for arm in (arms if pair % 2 == 0 else arms[::-1])]
