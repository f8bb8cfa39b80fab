"""Limits by clocks and disks that the test sets."""

import os
import random
import time
from datetime import datetime

import pytest

from dsfactory.errors import UserError
from dsfactory.runner import limits
from dsfactory.runner.limits import (
    GB,
    LOOK_EVERY_S,
    RESERVE,
    Limits,
    Surroundings,
    folder_size,
    next_occurrence,
    parse_duration,
)
from tests.runner.toys import Numbers, make

MOMENT = datetime(2026, 3, 2, 22, 0).timestamp()


class Around:
    """Two clocks and a disk."""

    def __init__(self) -> None:
        self.steady, self.wall, self.left = 1000.0, MOMENT, 100 * GB

    def surroundings(self) -> Surroundings:
        return Surroundings(lambda: self.steady, lambda: self.wall, lambda folder: self.left)

    def pass_time(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds


@pytest.fixture
def around():
    return Around()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("6h", 21600), ("1h30m", 5400), ("2h0m5s", 7205), (" 6h ", 21600)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "0s", "-6h", "6 hours", "1m1h", "6h6h", "1.5h", "٦h", "9" * 40 + "h"])
def test_what_is_no_duration(text):
    with pytest.raises(UserError, match="write it as 90s"):
        Limits(budget=text)


@pytest.mark.parametrize("text", ["", "6", "24:00", "12:60", "6h", "06:00:00", "-1:00", "6.00"])
def test_what_is_no_time_of_day(text):
    with pytest.raises(UserError, match="write it as 06:00"):
        Limits(until=text)


def test_the_next_occurrence_is_later_than_now():
    assert next_occurrence("22:01", MOMENT) == MOMENT + 60
    assert next_occurrence("22:00", MOMENT) == MOMENT + 24 * 3600
    assert next_occurrence("6:00", MOMENT) == MOMENT + 8 * 3600


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 28), 7), ((2026, 10, 24), 9), ((2026, 6, 1), 8)])
def test_summer_time_is_minded(monkeypatch, day, hours):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        evening = datetime(*day, 22, 0).timestamp()
        assert next_occurrence("06:00", evening) - evening == hours * 3600
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_budget_lasts_as_long_as_it_says(around, tmp_path):
    limits = Limits(budget="6h", around=around.surroundings())
    around.pass_time(6 * 3600 - 1)
    assert limits.reached(tmp_path, tmp_path, made=1) is None
    around.pass_time(1)
    stop = limits.reached(tmp_path, tmp_path, made=1)
    assert stop is not None and stop.reason == "the budget of 6h is used up" and not stop.needs_room


def test_time_never_forbids_the_first_shard(around, tmp_path):
    limits = Limits(budget="1s", around=around.surroundings())
    around.pass_time(100)
    assert limits.reached(tmp_path, tmp_path, made=0) is None


@pytest.mark.parametrize("jump", [-10 * 3600, 0, 10 * 3600])
def test_a_clock_that_jumps_prolongs_nothing(around, tmp_path, jump):
    budget = Limits(budget="6h", around=around.surroundings())
    until = Limits(until="06:00", around=around.surroundings())
    around.wall += jump
    assert budget.reached(tmp_path, tmp_path, made=1) is None
    assert (until.reached(tmp_path, tmp_path, made=1) is None) == (jump <= 0)
    around.pass_time(8 * 3600)
    assert budget.reached(tmp_path, tmp_path, made=1) is not None
    assert until.reached(tmp_path, tmp_path, made=1) is not None


def test_room_for_one_more_shard_like_the_largest(around, tmp_path):
    (tmp_path / "stage").mkdir()
    for name, size in (("00000.tar", 3000), ("00001.tar", 5000)):
        (tmp_path / "stage" / name).write_bytes(bytes(size))
    for max_bytes, fits in ((13_000, True), (12_999, False)):
        stop = Limits(max_gb=max_bytes / GB, around=around.surroundings()).reached(tmp_path, tmp_path / "stage", 0)
        assert (stop is None) == fits
        assert stop is None or stop.needs_room
    around.left = RESERVE + 4999
    limits = Limits(max_gb=1, around=around.surroundings())
    stop = limits.reached(tmp_path, tmp_path / "stage", 0)
    assert stop is not None and "the disk has only" in stop.reason
    assert limits.reached(tmp_path, tmp_path / "stage", 0, made_here=False) is None, "its room is on another machine"


@pytest.fixture
def looks(monkeypatch):
    """What all files of a run came to whenever they were looked at."""
    sizes = []
    monkeypatch.setattr(limits, "folder_size", lambda folder: sizes.append(folder_size(folder)) or sizes[-1])
    return sizes


@pytest.mark.parametrize("workers", [1, 5])
def test_a_large_run_is_looked_at_seldom_and_stops_as_if_it_always_were(around, tmp_path, looks, workers):
    stage, rng = tmp_path / "stage", random.Random(workers)
    stage.mkdir()
    once, sizes, made = Limits(max_gb=1e5 / GB, around=around.surroundings()), [1000], 0
    hand: list[int] = []
    while True:
        anew = Limits(max_gb=1e5 / GB, around=around.surroundings()).reached(tmp_path, stage, made, len(hand))
        looks.pop()
        assert once.reached(tmp_path, stage, made, len(hand)) == anew
        if anew is not None:
            break
        hand.append(sizes.pop() if sizes else rng.randrange(700, 1000))
        if len(hand) == workers:
            (stage / f"{made:05d}.tar").write_bytes(bytes(hand.pop(0)))
            made += 1
    assert made > 95
    assert len(looks) < 30


def test_what_others_write_is_seen_after_a_while(around, tmp_path, looks):
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "00000.tar").write_bytes(bytes(10))
    size = Limits(max_gb=1e4 / GB, around=around.surroundings())
    assert size.reached(tmp_path, tmp_path / "stage", 1) is None
    (tmp_path / "other").write_bytes(bytes(10_000))
    assert size.reached(tmp_path, tmp_path / "stage", 2) is None
    around.pass_time(LOOK_EVERY_S)
    assert size.reached(tmp_path, tmp_path / "stage", 3) is not None
    assert len(looks) == 2


def test_shards_begun_before_the_first_was_finished_count_as_soon_as_one_is(around, tmp_path):
    stage = tmp_path / "stage"
    stage.mkdir()
    size = Limits(max_gb=3500 / GB, around=around.surroundings())
    for in_hand in range(3):
        assert size.reached(tmp_path, stage, in_hand, in_hand) is None
    (stage / "00000.tar").write_bytes(bytes(1000))
    assert size.reached(tmp_path, stage, 3, 2) is not None  # one there, two being made, and this one


def test_stages_that_overlap_do_not_make_each_other_look(around, tmp_path, looks):
    stages = [tmp_path / "drawn", tmp_path / "refined"]
    for stage in stages:
        stage.mkdir()
        (stage / "00000.tar").write_bytes(bytes(100))
    size = Limits(max_gb=1, around=around.surroundings())
    for made in range(20):
        assert all(size.reached(tmp_path, stage, made, 1) is None for stage in stages)
    assert len(looks) == 2


def test_the_size_of_a_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(bytes(100))
    (tmp_path / ".hidden").write_bytes(bytes(10))
    os.symlink("/usr", tmp_path / "link")
    assert folder_size(tmp_path) == 110  # the link leads elsewhere


def test_a_stage_stops_between_shards_and_goes_on(run, around):
    class Slow(Numbers):
        def process(self, shard, *inputs):
            around.pass_time(60)
            return super().process(shard, *inputs)

    whole = make(run, Slow(), limits=Limits(budget="90s", around=around.surroundings()))
    assert (whole.made, whole.samples, run.total) == (8, 8, 22)
    assert whole.stopped is not None and whole.as_json()["stopped"] == "the budget of 90s is used up"
    rest = make(run, Slow(), limits=Limits(budget="15m", around=around.surroundings()))
    assert (rest.made, rest.samples, rest.stopped) == (14, 22, None)


def test_nothing_is_loaded_where_there_is_no_room(run, around):
    stage = Numbers()
    summary = make(run, stage, limits=Limits(max_gb=0, around=around.surroundings()))
    assert summary.stopped is not None and summary.stopped.needs_room
    assert (summary.made, stage.loaded) == (0, 0)
