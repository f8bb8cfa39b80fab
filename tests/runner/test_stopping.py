"""A command that is stopped or killed while its workers work: none of them outlives it, and it goes on later."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import tree
from tests.runner.toys import Numbers, Squares, make, wait_for

CODE = """
import sys
from pathlib import Path
from dsfactory.errors import StopSignal
from dsfactory.runner.executors import Local
from dsfactory.runner.signals import stop_on_signals
from tests.runner.toys import *

if __name__ == "__main__":
    stop_on_signals()
    try:
        Local((None,) * int(sys.argv[2])).run(
            Run.open(Path(sys.argv[1])), steps(Numbers(seconds=0.2), Squares(seconds=0.2)), Silent(), UNLIMITED
        )
    except StopSignal as error:
        sys.exit(error.exit_code)
"""


def workers_of(pid: int) -> list[int]:
    """Worker processes of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 1], ids=["inline", "processes"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_ends_within_seconds_with_all_workers_and_goes_on(run, expected, tmp_path, workers, number):
    script = tmp_path / "command.py"
    script.write_text(CODE)
    child = subprocess.Popen([sys.executable, script, run.path, str(workers)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: run.finished("squares") or child.poll() is not None)
    pids = workers_of(child.pid)
    assert len(pids) == workers + 1
    start = time.monotonic()
    child.send_signal(number)
    errors = child.communicate(timeout=60)[1]
    assert child.returncode == (5 if number != signal.SIGKILL else -signal.SIGKILL) and not errors, errors
    wait_for(lambda: not any(map(alive, pids)))
    assert time.monotonic() - start < 20
    assert len(run.finished("squares")) < 6
    if number != signal.SIGKILL:
        assert not list(run.path.rglob(".*.tmp"))
    make(run, Numbers(), Squares())
    assert tree(run.path) == expected
