"""A stage that is made while the stage before makes its shards, in this process or in others."""

import multiprocessing
import os
import signal
import time

import pytest

from dsfactory.errors import DsfactoryError, StopSignal
from dsfactory.runner.executors import IN_PROCESS, Local
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.progress import Silent
from tests.command import tree
from tests.runner.toys import Counting, Deadly, LastWords, Numbers, Squares, make, steps, wait_for

WORKERS = Local((None, None))


class Asked(Limits):
    """Remembers which stage asked with how many made and in hand, and stops one of them."""

    def __init__(self, stage="", at=99):
        super().__init__()
        self.asked, self.at = [], (stage, at)

    def reached(self, run, stage, made, in_hand=0, made_here=True):
        self.asked.append((stage.name, made, in_hand))
        return Limits(max_gb=0).reached(run, stage, made) if (stage.name, made) == self.at else None


@pytest.mark.parametrize("engine", [IN_PROCESS, WORKERS], ids=["inline", "processes"])
def test_a_stage_follows_another_shard_by_shard(run, expected, engine):
    """Of two shards squares are made before the last numbers are, though these are made in this thread."""
    progress = Counting()
    begun = []
    progress.begin = lambda stage, total, done, unit="samples": (
        begun.append((stage, total, done)),
        progress.through.__setitem__(stage, done),
    )

    def followed(shard, number):
        if number == 21:  # one sample after this thread has looked at the others
            wait_for(lambda: len(run.finished("squares")) >= 2)

    first = Numbers(seconds=0.05)
    if engine is IN_PROCESS:
        first.before = followed
    numbers, squares = engine.run(run, steps(first, Squares()), progress, UNLIMITED)
    assert (numbers.made, squares.made, squares.waiting) == (22, 22, 0)
    assert progress.through == {"numbers": 22, "squares": 22}
    assert begun == [("numbers", 22, 0), ("squares", 22, 0)]
    assert tree(run.path) == expected
    assert multiprocessing.active_children() == []


def test_a_finished_stage_is_followed_too(run, expected):
    make(run, Numbers())
    numbers, squares = IN_PROCESS.run(run, steps(Numbers(mistake="not loaded"), Squares()), Silent(), UNLIMITED)
    assert (numbers.made, squares.made) == (0, 22)
    assert tree(run.path) == expected


def test_a_damaged_shard_that_is_made_again_meanwhile_is_waited_for(run, expected):
    make(run, Numbers())
    os.truncate(run.path / "numbers" / "00001.parquet", 10)
    _, squares = IN_PROCESS.run(run, steps(Numbers(), Squares()), Silent(), UNLIMITED)
    assert (squares.made, squares.damaged) == (22, [])
    assert tree(run.path) == expected


@pytest.mark.parametrize("engine", [IN_PROCESS, WORKERS], ids=["inline", "processes"])
def test_what_the_stage_before_never_made_is_not_followed(run, engine):
    progress = Counting()
    numbers, squares = engine.run(run, steps(Numbers(), Squares()), progress, Limits(max_gb=0))
    assert (numbers.made, squares.made, squares.damaged) == (0, 0, [])
    assert (squares.stopped, squares.waiting) == (numbers.stopped, 22)
    assert progress.through == {"numbers": 0}, "what never began is not shown"


@pytest.mark.long
def test_a_limit_of_the_stage_before_stops_both(run):
    limits = Asked("numbers", 3)
    numbers, squares = WORKERS.run(run, steps(Numbers(seconds=0.01), Squares(seconds=0.2)), Silent(), limits)
    assert numbers.made == 12 and squares.stopped == numbers.stopped
    assert squares.made < 12 and squares.waiting == 10


def test_a_limit_of_the_following_stage_does_not_stop_the_one_before(run):
    limits = Asked("squares", 2)
    numbers, squares = IN_PROCESS.run(run, steps(Numbers(seconds=0.05), Squares()), Silent(), limits)
    assert (numbers.made, numbers.stopped) == (22, None)
    assert squares.stopped is not None and squares.made == 8
    assert [made for stage, made, _ in limits.asked if stage == "squares"] == [0, 1, 2]
    assert [asked[1:] for asked in limits.asked if asked[0] == "numbers"] == [(made, 0) for made in range(6)]


@pytest.mark.long
@pytest.mark.parametrize("engine", [IN_PROCESS, WORKERS], ids=["inline", "processes"])
def test_a_failure_of_the_following_stage_is_told_at_the_end(run, engine):
    progress = Counting()
    with pytest.raises(DsfactoryError, match="squares: 3 workers in a row died"):
        engine.run(run, steps(Numbers(seconds=0.02), Deadly()), progress, UNLIMITED)
    assert len(run.finished("numbers")) == 6, "what is generated need not suffer"
    assert progress.notes[-1].startswith("squares goes on later: squares: 3 workers in a row died")
    assert multiprocessing.active_children() == []


def test_an_error_of_the_stage_before_ends_the_followers(run):
    stumbling = Numbers()
    stumbling.before = lambda shard, number: {}[number] if number == 9 else None
    with pytest.raises(KeyError):
        IN_PROCESS.run(run, steps(stumbling, Squares()), Silent(), UNLIMITED)
    assert multiprocessing.active_children() == []
    assert not [path for path in (run.path / "squares").iterdir() if path.name.endswith(".tmp")]


def test_a_signal_ends_the_followers(run):
    def stop(shard, number):
        if number == 9:
            raise StopSignal("SIGTERM")

    stopped = Numbers()
    stopped.before = stop
    start = time.monotonic()
    with pytest.raises(StopSignal):
        IN_PROCESS.run(run, steps(stopped, Squares(seconds=5)), Silent(), UNLIMITED)
    assert time.monotonic() - start < 15
    assert multiprocessing.active_children() == []


def test_a_follower_that_is_killed_or_told_to_stop_is_replaced(run, expected):
    progress = Counting()

    def kill(shard, number):
        if number in (5, 17):
            if number == 17:
                wait_for(lambda: run.finished("squares"))
            (child,) = multiprocessing.active_children()
            os.kill(child.pid, signal.SIGKILL if number == 5 else signal.SIGTERM)
            child.join()

    killing = Numbers(seconds=0.02)
    killing.before = kill
    _, squares = IN_PROCESS.run(run, steps(killing, Squares()), progress, UNLIMITED)
    assert progress.notes == [
        "squares: worker 1 was killed by SIGKILL: another takes its place",
        "squares: worker 1 ended with exit code 5: another takes its place",
    ]
    assert (squares.made, progress.through["squares"]) == (22, 22)
    assert tree(run.path) == expected


def test_a_follower_that_dies_when_a_shard_is_finished_and_nobody_knows(run, expected, tmp_path):
    progress = Counting()
    _, squares = IN_PROCESS.run(run, steps(Numbers(), LastWords(died=tmp_path / "died")), progress, UNLIMITED)
    assert (squares.samples, squares.made, progress.through["squares"]) == (22, 22, 22)
    assert len(progress.notes) == 1
    assert tree(run.path) == expected


@pytest.mark.long
def test_workers_that_have_nothing_left_to_make_leave(run):
    """A GPU is free while what follows still works."""
    seen = []

    class Watching(Counting):
        def advance(self, stage=None, samples=1):
            super().advance(stage, samples)
            seen.append((stage, sorted(child.name for child in multiprocessing.active_children())))

    WORKERS.run(run, steps(Numbers(), Squares(seconds=0.3)), Watching(), UNLIMITED)
    assert seen[-1][0] == "squares" and not [name for name in seen[-1][1] if name.startswith("numbers")]
