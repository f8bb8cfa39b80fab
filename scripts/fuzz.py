"""Throw hostile input at dsfactory for as long as you like.

    python -m scripts.fuzz --seconds 600 --seed 1

Every input has a number, from which it can be made again: a fault is printed with the command that repeats it.
An input may end in one clear line, never in a traceback; it may take neither more than a few seconds nor more than
a gigabyte. The exit code is 0 only when there was no fault.
"""

import argparse
import itertools
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow

from benchmarks.machine import machine
from dsfactory.errors import DsfactoryError
from scripts.fuzz_targets import TARGETS

MEMORY = 1 << 30
"""Bytes of address space that inputs may add to what is there after the imports."""
TIME = 20
"""Seconds of a core that an input may take; on a busy machine it may wait for the core much longer."""
WAIT = 600
"""Seconds after which an input hangs."""


class TooSlow(BaseException):
    """Not an ``Exception``, so that no handler on the way takes it for a clear line."""


def one_input(target: str, number: int) -> str | None:
    """Try one input; the traceback if it is a fault."""
    signal.setitimer(signal.ITIMER_PROF, TIME)
    signal.alarm(WAIT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            TARGETS[target](random.Random(f"{target}{number}"), Path(folder))
    except DsfactoryError as error:
        if len(str(error)) > 1000:
            return f"the message has {len(str(error))} characters: {str(error)[:300]}"
    except (Exception, TooSlow):
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return None


def limit_memory() -> None:
    """Bound this process's address space to :data:`MEMORY` more than it has now."""
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # the default one reserves gigabytes of addresses
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))


def _too_slow(number: int, frame: object) -> None:
    raise TooSlow(f"more than {TIME} s of a core, or {WAIT} s in all")


def main() -> int:
    parser = argparse.ArgumentParser(description="Hostile input for dsfactory; no traceback is allowed.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="number of the first input")
    parser.add_argument("--count", type=int, help="inputs per target, instead of the time")
    parser.add_argument("--report", type=Path, help="a file for the totals")
    parser.add_argument("--only", choices=TARGETS, help="one target")
    given = parser.parse_args()
    for kind in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(kind, _too_slow)
    limit_memory()
    targets = [given.only] if given.only else list(TARGETS)
    tried: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    begun = time.monotonic()
    end = begun + given.seconds
    for number in itertools.count(given.seed):
        if number - given.seed >= given.count if given.count else time.monotonic() > end:
            break
        for target in targets:
            tried[target] += 1
            fault = one_input(target, number)
            if fault is not None:
                faults[target] += 1
                print(f"{fault}repeat: python -m scripts.fuzz --only {target} --seed {number} --count 1\n",
                      file=sys.stderr, flush=True)  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    totals = {"inputs": tried.total(), "tracebacks": faults.total(), "by_target": tried, "faults": faults,
              "first_seed": given.seed, "seconds": round(time.monotonic() - begun), "peak_mb": peak}  # fmt: skip
    print(json.dumps(totals, indent=1))
    if given.report:
        content = {"date": datetime.now(UTC).date().isoformat(), "machine": machine(), **totals}
        given.report.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
