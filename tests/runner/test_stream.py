"""A stage that is made while the stage before makes its shards."""

import os
import time
from itertools import pairwise

import pytest

from dsfactory.runner.claims import Claims
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.progress import Silent
from dsfactory.runner.scheduler import claim_stage, make_shard, run_stage
from dsfactory.runner.stream import Follower
from dsfactory.runner.worker import POLL_S, Task, _Worker
from tests.command import tree
from tests.runner.toys import Counting, Numbers, Squares, wait_for


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
    with Follower(run, [Squares()] * 2, mark, progress, UNLIMITED) as follower:
        drawn = run_stage(run, Waiting(), progress)
        squares = follower.finish(drawn)
    assert (drawn.made, squares.made, squares.waiting) == (22, 22, 0)
    assert progress.through == {"numbers": 22, "squares": 22}
    assert tree(run.path) == expected


def test_a_damaged_shard_that_is_made_again_meanwhile_is_waited_for(run, expected):
    run_stage(run, Numbers(), Silent())
    os.truncate(run.path / "numbers" / "00001.parquet", 10)
    mark = claim_stage(run, Numbers())
    with Follower(run, [Squares()], mark, Silent(), UNLIMITED) as follower:
        end = time.monotonic() + 120
        while len(run.finished("squares")) < 5:
            assert time.monotonic() < end, "the sound shards were not followed"
            time.sleep(0.02)
        squares = follower.finish(run_stage(run, Numbers(), Silent()))
    assert (squares.made, squares.damaged) == (22, [])
    assert tree(run.path) == expected


def test_what_the_stage_before_never_made_is_not_followed(run):
    mark = claim_stage(run, Numbers())
    with Follower(run, [Squares()], mark, Silent(), UNLIMITED) as follower:
        drawn = run_stage(run, Numbers(), Silent(), limits=Limits(max_gb=0))
        squares = follower.finish(drawn)
    assert (drawn.made, squares.made, squares.damaged) == (0, 0, [])
    assert (squares.stopped, squares.waiting) == (drawn.stopped, 22)


def test_an_error_in_the_block_ends_the_followers(run):
    mark = claim_stage(run, Numbers())
    with pytest.raises(ValueError), Follower(run, [Squares()], mark, Silent(), UNLIMITED) as follower:
        raise ValueError
    assert not follower._thread.is_alive() and not follower._crew._members
    assert [path.name for path in (run.path / "squares").iterdir()] == ["stage.json"]


def test_a_tar_of_the_right_size_and_the_wrong_bytes_is_tried_once_until_no_more_is_drawn(run):
    asked = []

    class Asked(Limits):
        def reached(self, run, stage, made, in_hand=0):
            asked.append(in_hand)

    run_stage(run, Numbers(), Silent())
    tar = run.path / "numbers" / "00001.tar"
    data = tar.read_bytes()
    tar.write_bytes(data[:600] + bytes([data[600] ^ 1]) + data[601:])
    progress = Counting()
    with Follower(run, [Squares()], claim_stage(run, Numbers()), progress, Asked()) as follower:
        wait_for(lambda: len(run.finished("squares")) == 5)
        time.sleep(4 * POLL_S)
        assert asked == [0] * 6, "once for each shard, with none in hand then"
        squares = follower.finish(run_stage(run, Numbers(), Silent()))
    assert (squares.made, len(squares.damaged), squares.waiting, asked) == (18, 1, 0, [0] * 7)
    assert progress.through["squares"] == 18


def test_a_look_at_what_there_is_takes_no_longer_in_a_large_run(run, tmp_path):
    run.grow(10_000, 1)
    drawn = claim_stage(run, Numbers())
    mark = claim_stage(run, Squares(), upstream=drawn)
    first, *_, last = run.shards()
    make_shard(run, Numbers(), last, drawn, lambda: None)
    looks = []

    def ask(kind, content=None):
        if kind == "upstream-ended":
            looks.append(time.process_time())
            if len(looks) == 2:
                make_shard(run, Numbers(), first, drawn, lambda: None)
        return kind == "may-begin" or len(looks) == 7

    (tmp_path / "claims").touch()
    task = Task(run.path, Squares(), mark, tuple(run.shards()), tmp_path / "claims", drawn, os.getpid(), None)
    made = []
    with Claims(task.claims) as claims:
        _Worker(task, claims, lambda kind, content: made.append(content[0]) if kind == "made" else None, ask).run()
    assert made == [last, first]
    assert min(after - before for before, after in pairwise(looks[3:])) < 0.003
