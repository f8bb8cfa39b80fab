"""All that only a GPU can show, in one go: at most ten minutes, the figures in one JSON file.

    python -m benchmarks.gpu_check --json docs/figures/gpu-check.json

Runs, one after the other: the tests that need CUDA; the chain beside the bare pipeline with masks made on four cores,
and with masks made on the GPU; peak memory with capture; how far masks made on the GPU equal the CPU's. A step that
fails or takes too long is named, and the others run. Needs eight cores beside the GPU.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, machine, make_parser, write_result

CHAIN = ["benchmarks.chain", "--device", "cuda", "--dtype", "bf16", "--size", "512", "--steps", "25", "--batch-size",
         "8", "--images", "64", "--pairs", "2", "--draw-core", "0", "1", "2", "3"]  # fmt: skip
STEPS: dict[str, tuple[list[str], int]] = {
    "tests": (["pytest", "-q", "-k", "cuda or gpu", "tests/crf", "tests/stages/generate", "tests/models"], 120),
    "masks": (["benchmarks.gpu_masks"], 60),
    "chain": ([*CHAIN, "--refine-core", "4", "5", "6", "7"], 150),
    "chain_gpu_masks": ([*CHAIN, "--refine-core", "4", "--refine-on", "cuda"], 150),
    "memory": (["benchmarks.memory", "--device", "cuda"], 90),
}
"""Name to module with arguments, and the seconds that it may take."""


def run_step(module: str, arguments: list[str], limit: int, folder: Path) -> dict[str, Any]:
    """Run a module; how it ended, and the figures that it wrote."""
    figures = folder / "figures.json"
    figures.unlink(missing_ok=True)
    wanted = [] if module == "pytest" else ["--json", str(figures)]
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments, *wanted],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
        ended, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        ended, said = None, f"stopped after {limit} s"
    print(said.strip().rsplit("\n", 8)[-1] if ended == 0 else said[-2000:], flush=True)
    found = json.loads(figures.read_text()) if figures.exists() else None
    return {"exit": ended, "seconds": round(time.monotonic() - start, 1), "figures": found}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="these steps")
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("there is no CUDA device on this machine")
    if len(os.sched_getaffinity(0)) < 8:
        print("fewer than eight cores: the chain will wait for its masks", flush=True)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            (module, *rest), limit = STEPS[name]
            print(f"== {name}", flush=True)
            results[name] = run_step(module, rest, limit, Path(folder))
    place = machine(torch.device("cuda"))
    write_result(arguments, {"machine": place, "steps": results})
    failed = [name for name, result in results.items() if result["exit"] != 0]
    print(describe(place))
    print(f"failed: {', '.join(failed)}" if failed else "all steps ran")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
