"""Kill a real run while it draws and refines: what it leaves, resumed, equals a run that was never killed.

What each stage leaves is the business of tests/stages/test_contract.py.
"""

import random
import time
from pathlib import Path

import pytest

from tests.command import call_tiny, called, run_tiny, tree


@pytest.mark.long
def test_killed_and_resumed_equals_uninterrupted(tiny_model, tmp_path):
    arguments = ["run", "--num", "6", "--shard-size", "2", "--out", "a", "--set", "refine.min_box=0"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    first = call_tiny(tiny_model, *arguments, cwd=whole)
    moments = random.Random(7)
    for stage, shards in (("generate", 2), ("refine", 1)):
        child = run_tiny(tiny_model, *arguments, cwd=killed, wait=False)
        wait_for_shards(killed / "a" / stage, shards, child)
        time.sleep(moments.uniform(0, 0.1))
        child.kill()
        child.communicate()
        assert child.returncode == -9, "it was done before it could be killed"
    last = call_tiny(tiny_model, *arguments, cwd=killed)
    assert last.returncode == first.returncode, last.stderr
    assert tree(killed / "a") == tree(whole / "a")
    assert called("status", "a", cwd=killed).stdout == called("status", "a", cwd=whole).stdout


def wait_for_shards(stage: Path, shards: int, child) -> None:
    """Wait until a stage has so many finished shards."""
    end = time.monotonic() + 600
    while len(list(stage.glob("*.parquet"))) < shards and child.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
