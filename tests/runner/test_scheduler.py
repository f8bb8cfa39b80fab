"""The one loop, with the executor of this process: numbers in, their squares out."""

import os
import time
from itertools import pairwise

import pytest

from dsfactory.core.chain import Step
from dsfactory.core.space import Space
from dsfactory.runner import summary as summaries
from dsfactory.runner.executors import IN_PROCESS, Local
from dsfactory.runner.limits import UNLIMITED
from dsfactory.runner.progress import Silent
from dsfactory.runner.scheduler import begin_step, carry_out, works_of
from tests.command import tree
from tests.runner.toys import Counting, Doubles, Numbers, Squares, Sums, make, steps


def files(run, stage):
    return sorted(path.name for path in (run.path / stage).iterdir())


def test_stages_follow_each_other(run):
    make(run, Numbers())
    summary = make(run, Numbers(), Squares())
    assert (summary.samples, summary.made) == (22, 22)
    assert summary.statuses == {"ok": 11, "failed": 11}
    assert summary.reasons == {"it is odd": 11}
    rows = [row for spec in run.shards() for row in run.reader("squares", spec).rows]
    assert [row["square"] for row in rows] == [number**2 for number in range(22)]


def test_a_finished_stage_does_nothing_and_loads_nothing(run):
    make(run, Numbers())
    before = tree(run.path)
    again = Numbers()
    summary = make(run, again)
    assert (summary.samples, summary.made, again.loaded) == (22, 0, 0)
    assert tree(run.path) == before


def test_a_stage_is_loaded_once(run):
    stage = Numbers()
    make(run, stage)
    assert stage.loaded == 1 and stage.processed == list(range(6))


def test_only_what_is_missing_is_made(run):
    make(run, Numbers())
    before = tree(run.path)
    (run.path / "numbers" / "00001.parquet").unlink()
    (run.path / "numbers" / ".00001.parquet.0123456789ab.tmp").write_bytes(b"half")
    again = Numbers()
    make(run, again)
    assert again.processed == [1]
    assert tree(run.path) == before


def test_more_samples_change_no_finished_shard(run):
    run.grow(8, 4)
    make(run, Numbers())
    before = tree(run.path)
    run.grow(40, 4)
    again = Numbers()
    make(run, again)
    assert again.processed == [6, 7, 8, 9, 10]
    after = tree(run.path)
    assert all(after[path] == data for path, data in before.items() if path != "run.json")


def test_shards_that_are_not_there_yet_are_waited_for(run):
    make(run, Numbers())
    (run.path / "numbers" / "00002.parquet").unlink()
    (summary,) = IN_PROCESS.run(run, steps(Numbers(), Squares())[1:], Silent(), UNLIMITED)
    assert (summary.samples, summary.waiting) == (18, 4)


def test_a_shard_of_the_stage_before_of_earlier_settings_is_waited_for(run):
    """As a redo leaves it that was killed while the old shards were being deleted, and then stopped by a limit."""
    make(run, Numbers())
    old = {path: path.read_bytes() for path in (run.path / "numbers").glob("00001.*")}
    run.discard(Numbers)
    make(run, Numbers(5))
    for path, data in old.items():
        path.write_bytes(data)
    squares = steps(Numbers(5), Squares())[1:]
    (summary,) = IN_PROCESS.run(run, squares, Silent(), UNLIMITED)
    assert (summary.samples, summary.waiting) == (18, 4)
    assert make(run, Numbers(5), Squares()).samples == 22
    rows = [row for spec in run.shards() for row in run.reader("squares", spec).rows]
    assert [row["square"] for row in rows] == [(number + 5) ** 2 for number in range(22)]


def test_reading_what_is_finished_is_shown_when_it_takes_long(run, monkeypatch):
    make(run, Numbers())
    told = []

    class Told(Silent):
        def begin(self, *what):
            told.append(what)

        def advance(self, stage=None, samples=1):
            told.append((stage, samples))

    make(run, Numbers(), progress=Told())
    assert told == [("numbers", 22, 22, "images")]
    monkeypatch.setattr(summaries, "UNSHOWN_S", 0.0)
    make(run, Numbers(), progress=Told())
    assert told[1:] == [
        ("reading numbers", 6, 0, "shards"), *[("reading numbers", 1)] * 6, ("numbers", 22, 22, "images"),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", [IN_PROCESS, Local((None, None))], ids=["inline", "processes"])
def test_a_damaged_shard_is_named_once_and_the_rest_goes_on(run, engine):
    make(run, Numbers())
    tar = run.path / "numbers" / "00001.tar"
    data = tar.read_bytes()
    tar.write_bytes(data[:600] + bytes([data[600] ^ 1]) + data[601:])  # only its checksum tells
    os.truncate(run.path / "numbers" / "00003.parquet", 10)
    progress = Counting()
    (summary,) = engine.run(run, steps(Numbers(), Squares())[1:], progress, UNLIMITED)
    assert (summary.samples, summary.waiting, progress.through["squares"]) == (14, 0, 14)
    assert [line.rpartition("/")[2].partition(":")[0] for line in sorted(summary.damaged)] == [
        "00001.tar", "00003.parquet",
    ]  # fmt: skip
    assert len(progress.notes) == 2 and all("is left out" in line for line in progress.notes)
    tar.write_bytes(data)
    assert make(run, Numbers(), Squares()).samples == 22


def test_a_finished_shard_with_changed_rows_is_made_again(run):
    import pyarrow.parquet as pq

    make(run, Numbers())
    before = tree(run.path)
    path = run.path / "numbers" / "00001.parquet"
    table = pq.read_table(path)  # with its done-mark
    pq.write_table(table.set_column(1, "value", [[9, 9, 9, 9]]).replace_schema_metadata(table.schema.metadata), path)
    progress = Counting()
    summary = make(run, Numbers(), progress=progress)
    assert (summary.samples, summary.made) == (22, 4)
    assert len(progress.notes) == 1 and "shard 00001 is made again" in progress.notes[0]
    assert tree(run.path) == before


def test_an_error_keeps_finished_shards_and_no_half_one(run):
    class Stumbling(Numbers):
        def process(self, shard, *inputs):
            for record in super().process(shard, *inputs):
                if record.row["value"] == 6:
                    raise RuntimeError("stumbled")
                yield record

    with pytest.raises(RuntimeError, match="stumbled"):
        make(run, Stumbling())
    assert files(run, "numbers") == ["00000.parquet", "00000.tar", "stage.json"]


def test_the_state_is_written_before_the_first_shard(run):
    seen = []

    class Looking(Numbers):
        def load(self):
            seen.append(run.stage_state("numbers"))

    make(run, Looking())
    assert seen == [steps(Numbers())[0].state()]


def test_three_steps_at_once_each_with_all_that_it_reads(run):
    numbers, squares, sums = steps(Numbers(), Squares(), Sums())
    summaries = Local((None,)).run(run, [numbers, squares, sums], Silent(), UNLIMITED)
    assert [summary.made for summary in summaries] == [22, 22, 22]
    rows = [row for spec in run.shards() for row in run.reader("sums", spec).rows]
    assert [row["sum"] for row in rows] == [number + number**2 for number in range(22)]


def test_a_step_that_reads_something_else_too_waits_for_that(run):
    numbers, squares, sums = steps(Numbers(), Squares(), Sums())
    begin_step(run, squares)
    summaries = IN_PROCESS.run(run, [numbers, Step(Sums(), sums.inputs)], Silent(), UNLIMITED)
    assert (summaries[1].made, summaries[1].waiting) == (0, 22)


@pytest.mark.parametrize("engine", [IN_PROCESS, Local((None,))], ids=["inline", "processes"])
def test_a_stage_with_a_sample_space_of_its_own(run, engine):
    space = Space.of(run, Doubles)
    space.extend({"dog": 6}, 4)
    assert make(space, Doubles(), engine=engine).made == 6
    assert [row["key"] for row in space.reader("doubles", space.shards()[1]).rows] == [
        "doubles-00000004", "doubles-00000005",
    ]  # fmt: skip


def test_a_large_run_takes_no_looks_at_what_is_not_there_yet(run, monkeypatch):
    """20,000 shards of two stages: what is made is told, and a shard costs the same at the end as at the beginning."""
    run.grow(20_000, 1)
    works = works_of(run, steps(Numbers(), Squares()), Silent(), UNLIMITED)
    looks, times = [], []
    monkeypatch.setattr(Step, "ready", lambda step, run, spec: looks.append(spec) is None)

    class Instant:
        """Makes everything at once, and nothing."""

        def __init__(self, *works):
            self.hand = []

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def room(self, work):
            return 2 - len(self.hand)

        def give(self, work, job):
            self.hand.append((work, job))

        def wait(self, hand_out, timeout=0):
            times.append(time.process_time())
            for work, job in self.hand:
                work.made(job, [{}])
            self.hand.clear()

        def lacking(self, work):
            return ""

        def release(self, work):
            pass

    carry_out(works, Instant())
    assert [work.finish().made for work in works] == [20_000, 20_000]
    assert len(looks) == len(run.shards())
    spans = [after - before for before, after in pairwise(times[::1000])]
    assert spans[-1] < 3 * spans[1] + 0.05
    assert sum(spans) < 10


def test_the_stage_s_words_say_its_name_and_its_files_stand_in_its_folder(run):
    class Adopted(Numbers):
        name, folder = "adopt", "numbers"

    progress = Counting()
    assert make(run, Adopted(), progress=progress).stage == "adopt"
    assert progress.through == {"adopt": 22} and len(run.finished("numbers")) == 6
