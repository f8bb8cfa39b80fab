"""One worker beside two: how fast ``dsfactory generate`` draws with one process and with two, one thread each.

Whole commands run in interleaved pairs on the bundled model. Two times are taken of each: the command's, and that from
the beginning of the first shard to the end of the last, which a long run comes close to.

    python -m benchmarks.workers                       # 64 images, 3 pairs; wants two free cores
    python -m benchmarks.workers --num 64 --json build/bench/workers.json
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, interleaved, make_parser, summary, write_result

ONE, TWO = "one worker", "two workers"


def draw(arguments: argparse.Namespace, workers: int, out: Path) -> tuple[float, float]:
    """Draw a run; seconds of the whole command, and from the first shard's beginning to the last one's end."""
    flags = ["--classes", "dog,bird", "--num", str(arguments.num), "--shard-size", str(arguments.shard_size)]
    flags += ["--model", arguments.model, "--batch-size", str(arguments.shard_size), *shlex.split(arguments.flags)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    subprocess.run(
        [
            sys.executable,
            "-m",
            "dsfactory",
            "generate",
            *flags,
            "--workers",
            str(workers),
            "--out",
            str(out),
            "--quiet",
        ],
        check=True,
        env=environment,
    )
    return time.perf_counter() - start, drawing_seconds(out / "log.jsonl")


def drawing_seconds(log: Path) -> float:
    """From the beginning of the first drawn shard to the end of the last, by a run's log."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    shards = [line for line in lines if line["event"] == "shard" and line["stage"] == "generate"]
    ends = [datetime.fromisoformat(line["time"]).timestamp() for line in shards]
    return max(ends) - min(end - line["seconds"] for end, line in zip(ends, shards, strict=True))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    seconds: dict[str, dict[str, list[float]]] = {"command": {ONE: [], TWO: []}, "drawing": {ONE: [], TWO: []}}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        for arm in interleaved((ONE, TWO), arguments.pairs):
            command, drawing = draw(arguments, 1 if arm == ONE else 2, out)
            shutil.rmtree(out)
            seconds["command"][arm].append(command)
            seconds["drawing"][arm].append(drawing)
    images = 2 * arguments.num
    return {
        "images": images,
        "seconds": {part: {arm: summary(values) for arm, values in arms.items()} for part, arms in seconds.items()},
        "speedup": {
            part: summary([one / two for one, two in zip(arms[ONE], arms[TWO], strict=True)])
            for part, arms in seconds.items()
        },
    }


def report(result: dict[str, Any]) -> str:
    lines = [f"{result['images']} images of {result['settings']['model']}, one thread per worker"]
    lines.append(describe(result["machine"]))
    for part, arms in result["seconds"].items():
        for arm, values in arms.items():
            lines.append(f"{part:<9}{arm:<13}{values['median']:8.2f} s   ({values['min']:.2f} to {values['max']:.2f})")
    for part, values in result["speedup"].items():
        lines.append(
            f"{part:<9}speed-up     {values['median']:8.2f} ×   ({values['min']:.2f} to {values['max']:.2f}), "
            "goal ≥ 1.8"
        )
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="pocket", help="who draws")
    parser.add_argument("--num", type=int, default=32, help="images per class, of two classes")
    parser.add_argument("--shard-size", type=int, default=8, help="images per shard and batch")
    parser.add_argument("--pairs", type=int, default=3, help="how often each arm draws")
    parser.add_argument("--flags", default="", help="further flags of dsfactory generate: --flags='--steps 10'")
    arguments = parser.parse_args()
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
