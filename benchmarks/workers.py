"""One worker beside two: how fast ``dsfactory generate`` draws with one process and with two, one thread each.

Whole commands run in interleaved turns on the bundled model. Two times are taken of each: the command's, and that from
the beginning of the first shard to the end of the last, which a long run comes close to. A third arm says how much of
two any two processes can be here: two commands with one worker each that know nothing of each other, each with one of
the two classes. Cores that share caches, power or a host with strangers are not worth two.

    python -m benchmarks.workers                       # 64 images, 3 turns; wants two free cores
    python -m benchmarks.workers --num 64 --json build/bench/workers.json
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, interleaved, make_parser, summary, write_result

ONE, TWO, APART = "one worker", "two workers", "two commands"
CLASSES = ("dog", "bird")


def draw(arguments: argparse.Namespace, arm: str, folder: Path) -> tuple[float, float]:
    """Draw the images as an arm does; seconds of it all, and from the first shard's beginning to the last one's end."""
    classes = CLASSES if arm == APART else (",".join(CLASSES),)
    runs = [folder / names for names in classes]
    start = time.perf_counter()
    commands = [
        subprocess.Popen(
            generate(arguments, names, 2 if arm == TWO else 1, out), env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        for names, out in zip(classes, runs, strict=True)
    ]
    failed = [command for command in commands if command.wait() != 0]
    if failed:
        raise subprocess.CalledProcessError(failed[0].returncode, failed[0].args)
    return time.perf_counter() - start, drawing_seconds([out / "log.jsonl" for out in runs])


def generate(arguments: argparse.Namespace, classes: str, workers: int, out: Path) -> list[str]:
    """The command that draws `classes` into `out`."""
    flags = ["--num", str(arguments.num), "--shard-size", str(arguments.shard_size), "--model", arguments.model]
    flags += ["--batch-size", str(arguments.shard_size), *shlex.split(arguments.flags), "--workers", str(workers)]
    command = [sys.executable, "-m", "dsfactory", "generate", "--classes", classes, *flags]
    return [*command, "--out", str(out), "--quiet"]


def drawing_seconds(logs: list[Path]) -> float:
    """From the beginning of the first drawn shard to the end of the last, by runs' logs."""
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    shards = [line for line in lines if line["event"] == "shard" and line["stage"] == "generate"]
    ends = [datetime.fromisoformat(line["time"]).timestamp() for line in shards]
    return max(ends) - min(end - line["seconds"] for end, line in zip(ends, shards, strict=True))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    arms = (ONE, TWO, APART)
    seconds: dict[str, dict[str, list[float]]] = {part: {arm: [] for arm in arms} for part in ("command", "drawing")}
    for arm in interleaved(arms, arguments.pairs):
        with tempfile.TemporaryDirectory() as folder:
            command, drawing = draw(arguments, arm, Path(folder))
        seconds["command"][arm].append(command)
        seconds["drawing"][arm].append(drawing)
    times_as_fast = {
        arm: {
            part: summary([one / other for one, other in zip(taken[ONE], taken[arm], strict=True)])
            for part, taken in seconds.items()
        }
        for arm in (TWO, APART)
    }
    return {
        "images": 2 * arguments.num,
        "seconds": {part: {arm: summary(values) for arm, values in taken.items()} for part, taken in seconds.items()},
        "speedup": times_as_fast[TWO],
        "machine_speedup": times_as_fast[APART],
    }


def report(result: dict[str, Any]) -> str:
    lines = [f"{result['images']} images of {result['settings']['model']}, one thread per worker"]
    lines.append(describe(result["machine"]))
    for part, arms in result["seconds"].items():
        for arm, values in arms.items():
            lines.append(f"{part:<9}{arm:<13}{values['median']:8.2f} s   ({values['min']:.2f} to {values['max']:.2f})")
    for name, end in (
        ("speedup", ", goal ≥ 1.8"),
        ("machine_speedup", ", two commands that know nothing of each other"),
    ):
        for part, values in result[name].items():
            spread = f"({values['min']:.2f} to {values['max']:.2f})"
            lines.append(f"{part:<9}speed-up     {values['median']:8.2f} ×   {spread}{end}")
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="pocket", help="who draws")
    parser.add_argument("--num", type=int, default=32, help="images per class, of two classes")
    parser.add_argument("--shard-size", type=int, default=8, help="images per shard and batch")
    parser.add_argument("--pairs", type=int, default=3, help="how often each of the arms draws")
    parser.add_argument("--flags", default="", help="further flags of dsfactory generate: --flags='--steps 10'")
    arguments = parser.parse_args()
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
