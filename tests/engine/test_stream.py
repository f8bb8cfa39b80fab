"""A stage that is made while the stage before makes its shards."""

import os
import time

import pytest

from dsfactory.engine.limits import UNLIMITED, Limits
from dsfactory.engine.local import claim_stage, run_stage
from dsfactory.engine.progress import Silent
from dsfactory.engine.stream import Follower
from tests.command import tree
from tests.engine.toys import Counting, Numbers, Squares


def test_a_stage_follows_another_shard_by_shard(run, expected):
    progress = Counting()

    class Waiting(Numbers):
        def process(self, shard, upstream):
            end = time.monotonic() + 120
            while shard.index == 5 and len(run.finished("squares")) < 3:
                assert time.monotonic() < end, "nothing was followed while numbers were made"
                time.sleep(0.02)
            yield from super().process(shard, upstream)

    mark = claim_stage(run, Numbers())
    with Follower(run, [Squares()] * 2, mark, progress, False, UNLIMITED) as follower:
        drawn = run_stage(run, Waiting(), progress)
        squares = follower.finish(drawn)
    assert (drawn.made, squares.made, squares.waiting) == (22, 22, 0)
    assert progress.through == {"numbers": 22, "squares": 22}
    assert tree(run.path) == expected


def test_a_damaged_shard_that_is_made_again_meanwhile_is_waited_for(run, expected):
    run_stage(run, Numbers(), Silent())
    os.truncate(run.path / "numbers" / "00001.parquet", 10)
    mark = claim_stage(run, Numbers())
    with Follower(run, [Squares()], mark, Silent(), False, UNLIMITED) as follower:
        end = time.monotonic() + 120
        while len(run.finished("squares")) < 5:
            assert time.monotonic() < end, "the sound shards were not followed"
            time.sleep(0.02)
        squares = follower.finish(run_stage(run, Numbers(), Silent()))
    assert (squares.made, squares.damaged) == (22, [])
    assert tree(run.path) == expected


def test_what_the_stage_before_never_made_is_not_followed(run):
    mark = claim_stage(run, Numbers())
    with Follower(run, [Squares()], mark, Silent(), False, UNLIMITED) as follower:
        drawn = run_stage(run, Numbers(), Silent(), limits=Limits(max_gb=0))
        squares = follower.finish(drawn)
    assert (drawn.made, squares.made, squares.damaged) == (0, 0, [])


def test_an_error_in_the_block_ends_the_followers(run):
    mark = claim_stage(run, Numbers())
    with pytest.raises(ValueError), Follower(run, [Squares()], mark, Silent(), False, UNLIMITED) as follower:
        raise ValueError
    assert not follower._thread.is_alive() and not follower._crew._members
    assert [path.name for path in (run.path / "squares").iterdir()] == ["stage.json"]
