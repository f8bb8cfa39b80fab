"""What an image costs as a run grows: CPU seconds and bytes, over images, classes per image and resolution.

Whole ``dsfactory run`` commands on the bundled model, prompts to masks. Seconds are the CPU time of the command and its
workers, start-up included: that is why the first images of a run are dear.

    python -m benchmarks.cost                                 # a dozen commands
    python -m benchmarks.cost --steps 20 --json build/bench/cost.json
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, make_parser, write_result

CLASSES = ("dog", "bird", "cat", "car", "boat", "bus", "horse", "aeroplane")


def cost(images: int, classes: int, side: int, objects: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a run of so many images; CPU seconds and bytes of it."""
    assert images % classes == 0, "images are shared out to classes"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "dsfactory", "run", "--classes", ",".join(CLASSES[:classes])]
        command += ["--num", str(images // classes), "--objects", objects, "--out", str(out), "--quiet"]
        command += ["--width", str(side), "--height", str(side), "--steps", str(arguments.steps), "--format", "coco"]
        before = cpu_of_children()
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        spent = cpu_of_children() - before
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {
        "images": images, "classes": classes, "objects": objects, "side": side, "cpu_seconds": spent, "bytes": size,
        "cpu_seconds_per_image": spent / images, "bytes_per_image": size / images,
    }  # fmt: skip


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    base = arguments.images[len(arguments.images) // 2]
    curves: dict[str, list[dict[str, Any]]] = {
        "images": [cost(count, 2, arguments.side, "1", arguments) for count in arguments.images],
        "classes": [cost(base, count, arguments.side, "1", arguments) for count in arguments.classes],
        "objects": [cost(base, 4, arguments.side, objects, arguments) for objects in arguments.objects],
        "resolution": [cost(base, 2, side, "1", arguments) for side in arguments.sides],
    }
    return {"curves": curves}


def report(result: dict[str, Any]) -> str:
    lines = [f"dsfactory run on the bundled model, {result['settings']['steps']} steps, prompts to masks and COCO"]
    lines.append(describe(result["machine"]))
    for name, rows in result["curves"].items():
        lines.append(f"as {name} grow")
        lines += [
            f"  {row['images']:>4} images, {row['classes']} classes, {row['objects']} objects, {row['side']:>4}²   "
            f"{row['cpu_seconds']:7.1f} s   an image {row['cpu_seconds_per_image']:7.2f} s, "
            f"{row['bytes_per_image'] / 1024:6.1f} KB"
            for row in rows
        ]
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[8, 32, 128], help="sizes of the run")
    parser.add_argument("--classes", type=int, nargs="+", default=[1, 4, 8], help="numbers of classes")
    parser.add_argument("--objects", nargs="+", default=["1", "2", "3"], help="classes per image")
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 192, 256], help="sides of the images")
    parser.add_argument("--side", type=int, default=128, help="side of the images where it does not grow")
    parser.add_argument("--steps", type=int, default=10, help="denoising steps")
    arguments = parser.parse_args()
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
