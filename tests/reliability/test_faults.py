"""Disks, clocks, hubs and bytes that go wrong, met by real commands. What other tests show is listed in
docs/reliability.md."""

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from tests.command import call_tiny, called, command, tree


@pytest.fixture(scope="module")
def made(tiny_run, tmp_path_factory):
    """A finished run of two shards without exports, to be copied and never changed."""
    folder = tmp_path_factory.mktemp("made") / "a"
    return shutil.copytree(tiny_run, folder, ignore=shutil.ignore_patterns("export"))


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made, tmp_path / "a", copy_function=shutil.copy2)
    return tmp_path / "a"


def same(folder, made):
    """Whether a run is what it was, but for its locks and logs."""

    def content(path):
        return {name: data for name, data in tree(path).items() if not re.search(r"\.lock$|^log\..*jsonl", name)}

    return content(folder) == content(made)


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["flip tar", "truncate tar", "flip table", "truncate table"])
def test_damaged_drawings_are_named_and_the_rest_goes_on(run, made, damage):
    path = run / "generate" / ("00000.tar" if damage.endswith("tar") else "00000.parquet")
    if damage.startswith("flip"):
        flip(path, path.stat().st_size // 3)
    else:
        os.truncate(path, path.stat().st_size // 2)
    shutil.rmtree(run / "refine")
    done = called("refine", "a", cwd=run.parent)
    assert done.returncode == 3, done.stderr
    assert path.name in done.stdout and "Traceback" not in done.stderr
    assert not (run / "refine" / "00000.parquet").exists()
    assert (run / "refine" / "00001.parquet").read_bytes() == (made / "refine" / "00001.parquet").read_bytes()


@pytest.mark.parametrize("damage", ["missing done-mark", "truncated tar", "missing tar", "truncated table"])
def test_what_can_be_made_again_is(tiny_model, run, made, damage):
    what, kind = damage.split(" ")
    path = run / "generate" / ("00001.tar" if kind == "tar" else "00001.parquet")
    if what == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)
    others = {name: (run / "generate" / name).stat().st_mtime_ns for name in ("00000.tar", "00000.parquet")}
    done = call_tiny(tiny_model, "generate", "--out", "a", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert same(run, made)
    assert {name: (run / "generate" / name).stat().st_mtime_ns for name in others} == others


def test_the_clock_does_not_matter(tiny_model, run, made):
    decade = 10 * 365 * 24 * 3600
    for number, path in enumerate(sorted(run.rglob("*"))):
        moment = time.time() + (decade if number % 2 else -decade)
        os.utime(path, (moment, moment))
    for done in (
        call_tiny(tiny_model, "generate", "--out", "a", cwd=run.parent),
        called("refine", "a", cwd=run.parent),
    ):
        assert done.returncode == 0, done.stderr
        assert "made now" not in done.stdout and "nothing to do" in done.stdout
    (run / "generate" / "00001.parquet").unlink()
    assert call_tiny(tiny_model, "generate", "--out", "a", cwd=run.parent).returncode == 0
    assert same(run, made)


@contextmanager
def read_only(folder):
    """A folder that not even root may write."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], check=False, capture_output=True)
    if bound.returncode:
        pytest.skip("no folder can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_run_can_be_looked_at_and_is_refused_in_one_line(tiny_model, run, made):
    with read_only(run):
        assert called("status", "a", cwd=run.parent).returncode == 0
        for arguments in (["refine", "a", "--redo"], ["export", "a", "--redo"]):
            done = called(*arguments, cwd=run.parent)
            assert done.returncode == 2, done.stderr
            assert "Read-only file system" in one_line(done)
        done = call_tiny(tiny_model, "generate", "--out", "a/new", cwd=run.parent)
        assert done.returncode == 2 and "Read-only file system" in one_line(done)
    assert same(run, made)


def one_line(done):
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("dsfactory: "), done.stderr
    return lines[0]


@contextmanager
def silent_server():
    """Takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept():
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.mark.long
def test_a_hub_that_never_answers_is_one_line(tmp_path):
    begun = time.monotonic()
    with silent_server() as endpoint:
        done = command("generate", "--classes", "dog", "--model", "owner/name", cwd=tmp_path, HF_ENDPOINT=endpoint,
                       HF_HOME=str(tmp_path / "hf"), HF_HUB_ETAG_TIMEOUT="2", HF_HUB_DOWNLOAD_TIMEOUT="2")  # fmt: skip
    assert done.returncode == 2, done.stderr
    *waits, last = done.stderr.strip().splitlines()
    assert all(line.startswith("the hub does not answer: trying again in") for line in waits), done.stderr
    assert last.startswith("dsfactory: the hub went silent while model owner/name was fetched: run the command again")
    assert time.monotonic() - begun < 120
    assert not (tmp_path / "runs").exists()
