"""SIGTERM in the middle of the longest steps: the command is gone within seconds and leaves whole shards only."""

import time
from pathlib import Path

import pytest

from dsfactory.errors import StopSignal
from dsfactory.runner import signals
from tests.command import call_tiny, called, command, run_tiny, tree

PROMISED_S = 30


@pytest.fixture(scope="module")
def drawn(tiny_model, tmp_path_factory):
    """A run of images large enough that refining and exporting take a while."""
    folder = tmp_path_factory.mktemp("drawn")
    done = call_tiny(tiny_model, "generate", "--out", "a", "--num", "8", "--width", "256", "--height", "256", "--steps",
                    "1", "--set", "refine.min_box=0", cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def stop_after(child, path: Path, seconds: float) -> float:
    """Send SIGTERM some time after a path appeared; how long the process still took."""
    end = time.monotonic() + 120
    while not path.exists():
        assert child.poll() is None and time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.002)
    time.sleep(seconds)
    assert child.poll() is None, "it was done before it could be stopped"
    start = time.monotonic()
    child.terminate()
    child.errors = child.communicate(timeout=2 * PROMISED_S)[1]
    return time.monotonic() - start


@pytest.mark.long
def test_in_a_long_batch(tiny_model, tmp_path):
    child = run_tiny(tiny_model, "generate", "--out", "a", "--num", "16", "--shard-size", "32", "--batch-size", "32",
                     "--width", "512", "--height", "512", "--steps", "500", cwd=tmp_path, wait=False)  # fmt: skip
    took = stop_after(child, tmp_path / "a" / "generate" / "stage.json", 4)
    assert took < PROMISED_S
    assert child.returncode == 5, child.errors
    assert child.errors.endswith("no shard of images was finished, nothing was kept, run the same command again\n")
    assert [path.name for path in (tmp_path / "a" / "generate").iterdir()] == ["stage.json"]


@pytest.mark.long
def test_in_refine(drawn):
    child = command("refine", "a", cwd=drawn, wait=False)
    took = stop_after(child, drawn / "a" / "refine" / "stage.json", 1.5)
    assert took < PROMISED_S
    assert child.returncode == 5, child.errors
    assert "run the same command again to go on" in child.errors
    assert not list((drawn / "a").rglob(".*.tmp"))
    assert called("refine", "a", cwd=drawn).returncode == 0


@pytest.mark.long
def test_in_export(drawn):
    assert called("refine", "a", cwd=drawn).returncode == 0
    before = tree(drawn / "a")
    child = command("export", "a", "--format", "voc", "--out", "voc", cwd=drawn, wait=False)
    took = stop_after(child, drawn / ".voc.tmp-dsfactory" / "Annotations", 0.02)
    assert took < PROMISED_S
    assert child.returncode == 5, child.errors
    assert sorted(path.name for path in drawn.iterdir()) == ["a"]
    assert tree(drawn / "a") == before


def test_a_signal_that_something_swallowed_counts_all_the_same(monkeypatch):
    monkeypatch.setattr(signals, "_received", [])
    signals.check_stop()
    with pytest.raises(StopSignal):
        signals._stop(15, None)
    with pytest.raises(StopSignal, match="SIGTERM"):
        signals.check_stop()
