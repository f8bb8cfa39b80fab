"""How fast exports are written, and that their memory does not grow with the number of samples.

Each export runs in a process of its own. Its base is the memory it has after a first export of a hundred samples:
Python, libraries and working buffers. What it needs beyond that at its peak is the export's own.

    python -m benchmarks.export                                    # 1,000 and 10,000 samples
    python -m benchmarks.export --samples 1000 10000 100000 --json build/bench/export.json
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, make_parser, write_result
from benchmarks.synthetic import write_large_run

WARM_UP = 100


def export_once(run: Path, warm_up: Path, format: str, out: Path, provenance: bool) -> dict[str, float]:
    """Export a run in this process.

    Returns:
        ``seconds``, and ``base_mb`` and ``peak_mb``: the most memory that was resident up to after the warm-up, and
        at all; and ``mb``, the size of the export.
    """
    from dsfactory.jobs.export import ExportOptions, export_job

    export_job(warm_up, format, out / "warm-up", 0.1, options=ExportOptions(provenance=provenance))
    base = peak_mb()
    start = time.perf_counter()
    export_job(run, format, out / "export", 0.1, options=ExportOptions(provenance=provenance))
    seconds = time.perf_counter() - start
    size = sum(path.stat().st_size for path in (out / "export").rglob("*") if path.is_file())
    return {"seconds": seconds, "base_mb": base, "peak_mb": peak_mb(), "mb": size / 1e6}


def peak_mb() -> float:
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib * 1024 / 1e6


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for samples in arguments.samples:
        with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
            place = Path(folder)
            write_large_run(place / "warm-up", WARM_UP, arguments.side)
            write_large_run(place / "run", samples, arguments.side)
            for format in arguments.formats.split(","):
                worker = [sys.executable, "-m", "benchmarks.export", "--once", folder, format]
                worker += ["--no-provenance"] if arguments.no_provenance else []
                done = subprocess.run(worker, check=True, stdout=subprocess.PIPE, text=True)
                found = json.loads(done.stdout)
                own = found["peak_mb"] - found["base_mb"]
                rows.append({"samples": samples, "format": format, **found, "own_mb": own,
                             "per_second": samples / found["seconds"]})  # fmt: skip
                print(row_text(rows[-1]), flush=True)
    return {"exports": rows}


def row_text(row: dict[str, Any]) -> str:
    return (
        f"{row['samples']:>8} samples  {row['format']:<12}{row['seconds']:8.1f} s {row['per_second']:8.0f} a second   "
        f"{row['mb']:7.2f} MB   base {row['base_mb']:5.0f} MB, peak {row['peak_mb']:5.0f} MB, "
        f"own {row['own_mb']:4.0f} MB (goal ≤ 300)"
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 10_000], help="sizes of the run")
    parser.add_argument("--formats", default="coco,voc", help="separated by commas")
    parser.add_argument("--side", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--no-provenance", action="store_true", help="without saying where samples come from")
    parser.add_argument("--work", type=Path, help="where runs and exports lie meanwhile [default: $TMPDIR]")
    parser.add_argument("--once", nargs=2, metavar=("FOLDER", "FORMAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        place, format = Path(arguments.once[0]), arguments.once[1]
        print(
            json.dumps(
                export_once(place / "run", place / "warm-up", format, place / format, not arguments.no_provenance)
            )
        )
        return
    del arguments.once
    print(describe(write_result(arguments, measure(arguments))["machine"]))


if __name__ == "__main__":
    main()
