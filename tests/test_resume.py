"""Kill a real run at arbitrary moments: what it leaves, resumed, equals a run that was never killed."""

import random
import time
from pathlib import Path

from tests.command import command, run_tiny, tree


def test_killed_three_times_and_resumed_equals_uninterrupted(tiny_model, tmp_path):
    arguments = ["run", "--num", "20", "--shard-size", "4", "--out", "a", "--set", "refine.min_box=0"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    first = run_tiny(tiny_model, *arguments, cwd=whole)
    moments = random.Random(7)
    for stage, shards in (("generate", 2), ("generate", 6), ("refine", 3)):
        child = run_tiny(tiny_model, *arguments, cwd=killed, wait=False)
        wait_for_shards(killed / "a" / stage, shards, child)
        time.sleep(moments.uniform(0, 0.4))
        child.kill()
        child.communicate()
        assert child.returncode == -9, "it was done before it could be killed"
    last = run_tiny(tiny_model, *arguments, cwd=killed)
    assert last.returncode == first.returncode, last.stderr
    assert tree(killed / "a") == tree(whole / "a")
    assert command("status", "a", cwd=killed).stdout == command("status", "a", cwd=whole).stdout


def wait_for_shards(stage: Path, shards: int, child) -> None:
    """Wait until a stage has so many finished shards."""
    end = time.monotonic() + 600
    while len(list(stage.glob("*.parquet"))) < shards and child.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
