"""``--workers`` on a real model: killed workers, a stopped and a killed parent, and the bytes of one process."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.command import call_tiny, called, command, run_tiny, tree

RUN = ["run", "--num", "10", "--shard-size", "4", "--out", "a", "--set", "refine.min_box=0", "--format", "voc"]

PROMISED_S = 30


@pytest.fixture(scope="module")
def alone(tiny_model, tmp_path_factory):
    """Where ``run`` made its tree without workers."""
    folder = tmp_path_factory.mktemp("alone")
    done = call_tiny(tiny_model, *RUN, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def workers_of(pid: int) -> list[int]:
    """Living worker processes of a dsfactory process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(child, reached) -> None:
    end = time.monotonic() + 300
    while not reached():
        if child.poll() is not None or time.monotonic() > end:
            child.kill()
            raise AssertionError(child.communicate()[1])
        time.sleep(0.01)


def finished(folder: Path, stage: str) -> int:
    return len(list((folder / "a" / stage).glob("*.parquet")))


@pytest.mark.slow  # four processes load the model; tests/runner/test_processes.py kills workers that make toys
def test_a_worker_is_killed_in_the_middle(tiny_model, tmp_path, alone):
    child = run_tiny(tiny_model, *RUN, "--workers", "2", "--json", cwd=tmp_path, wait=False)
    wait_for(child, lambda: list((tmp_path / "a" / "generate").glob(".*.tar.*.tmp")))
    workers = workers_of(child.pid)
    assert len(workers) == 4, "two that draw, two that refine"
    os.kill(workers[-1], signal.SIGKILL)
    errors = child.communicate(timeout=600)[1]
    assert child.returncode == 0, errors
    assert "was killed by SIGKILL: another takes its place" in errors
    assert tree(tmp_path / "a") == tree(alone / "a")


@pytest.mark.long
def test_a_stopped_and_a_killed_parent_leave_no_worker_and_go_on(tmp_path, alone):
    shutil.copytree(alone / "a", tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "refine")
    refine = ["refine", "a", "--workers", "2"]

    child = command(*refine, cwd=tmp_path, wait=False)
    wait_for(child, lambda: finished(tmp_path, "refine") >= 1)
    workers = workers_of(child.pid)
    start = time.monotonic()
    child.terminate()
    errors = child.communicate(timeout=60)[1]
    assert time.monotonic() - start < PROMISED_S
    assert child.returncode == 5, errors
    assert "run the same command again to go on" in errors
    assert len(workers) == 2 and not any(alive(worker) for worker in workers)
    assert not list((tmp_path / "a").rglob(".*.tmp"))

    child = command(*refine, cwd=tmp_path, wait=False)
    wait_for(child, lambda: finished(tmp_path, "refine") >= 3)
    workers = workers_of(child.pid)
    child.kill()
    child.communicate()
    end = time.monotonic() + 5
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < end, "a worker outlived its parent"
        time.sleep(0.05)

    last = called(*refine, cwd=tmp_path)
    assert last.returncode == 0, last.stderr
    assert tree(tmp_path / "a") == tree(alone / "a")


def test_flags_that_do_not_go_together_write_nothing(tmp_path):
    for flags, says in (
        (["--workers", "2", "--devices", "0"], "not both"),
        (["--devices", "7"], "use --workers"),
        (["--workers", "0"], "--workers"),
        (["--address", "auto"], "add --engine ray"),
    ):
        done = called("run", "--classes", "dog", *flags, cwd=tmp_path)
        assert (done.returncode, says in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr
    assert list(tmp_path.iterdir()) == []
