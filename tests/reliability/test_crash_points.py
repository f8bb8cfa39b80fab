"""The enumerated campaign in its short form, and that the disk loses what a power cut may lose."""

import json
import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from scripts.crash_disk import DATA, KILLED, LOST, LOST_MARKS, ORDER, Disk

ROOT = Path(__file__).parents[2]


def atomic(root: Path) -> None:
    from dsfactory.storage.atomic import write_atomic

    write_atomic(root / "00000.parquet", b"finished")


def careless(root: Path) -> None:
    with open(root / "new", "wb") as file:
        file.write(b"finished")
    os.replace(root / "new", root / "00000.parquet")
    with open(root / "other", "wb") as file:
        file.write(b"later")


def end(tmp_path: Path, work, at: int, how: str) -> dict[str, bytes]:
    """What lies in a folder that holds one old file, after work in it has ended at a step."""
    root, spare = tmp_path / "root", tmp_path / "spare"
    root.mkdir()
    spare.mkdir()
    (root / "00000.parquet").write_bytes(b"before")

    def child() -> None:
        Disk(root, spare, at, how).install()
        work(root)
        os._exit(0)

    process = get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    assert not (spare / LOST_MARKS).exists() or json.loads((spare / LOST_MARKS).read_text()) == []
    return {path.name: path.read_bytes() for path in root.iterdir()}


@pytest.mark.parametrize("how", [KILLED, LOST, DATA, ORDER])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_file_is_the_old_one_or_the_new_one(tmp_path, at, how):
    found = end(tmp_path, atomic, at, how)
    assert found["00000.parquet"] in (b"before", b"finished")
    if at > 5:  # open, write, fsync, rename, fsync of the folder
        assert found == {"00000.parquet": b"finished"}


def test_what_was_not_flushed_is_lost(tmp_path):
    for name, at, how, expected in (
        ("killed", 4, KILLED, {"00000.parquet": b"finished"}),
        ("data", 4, DATA, {"00000.parquet": b""}),
        ("lost", 4, LOST, {"00000.parquet": b"before"}),
        ("half", 2, KILLED, {"00000.parquet": b"before", "new": b"fini"}),
        ("order", 5, ORDER, {"00000.parquet": b"before", "new": b"finished", "other": b"la"}),
    ):
        (tmp_path / name).mkdir()
        assert end(tmp_path / name, careless, at, how) == expected, name


@pytest.mark.slow  # test_contract.py ends each stage once
def test_one_step_of_each_kind_loses_nothing(tmp_path, tiny_model):
    line = [sys.executable, "-m", "scripts.crash_points", "--short", "--model", str(tiny_model)]
    done = subprocess.run([*line, "--work", str(tmp_path / "work")], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=3000, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["differences"] == [] and report["points"] > 150
