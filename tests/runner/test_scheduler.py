"""The engine, with a real stage of two lines: numbers in, their squares out."""

import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from dsfactory.core.config import ClassSpec
from dsfactory.core.run import Run
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import UserError
from dsfactory.runner import scheduler as local
from dsfactory.runner.progress import Silent
from dsfactory.runner.scheduler import run_stage


class Numbers(Stage):
    name, version, upstream = "numbers", 1, None
    schema = pa.schema([("key", pa.string()), ("value", pa.int64())])

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.prepared = 0
        self.processed: list[int] = []

    def identity(self) -> dict[str, Any]:
        return {"offset": self.offset}

    def prepare(self) -> None:
        self.prepared += 1

    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        self.processed.append(shard.index)
        for number in range(shard.start, shard.stop):
            row = {"key": sample_key(number), "value": number + self.offset}
            yield Record(sample_key(number), row, {"txt": str(number + self.offset).encode()})


class Squares(Stage):
    name, version, upstream = "squares", 1, "numbers"
    schema = pa.schema([*Numbers.schema, ("square", pa.int64()), ("status", pa.string()), ("reason", pa.string())])

    def identity(self) -> dict[str, Any]:
        return {}

    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        assert upstream is not None
        for record in upstream.records():
            number = int(record.files["txt"])
            odd = number % 2 == 1
            row = {"square": number**2, "status": "failed" if odd else "ok", "reason": "it is odd" if odd else ""}
            yield Record(record.key, record.row | row)


@pytest.fixture
def run(tmp_path):
    with Run.claim(tmp_path / "run", (ClassSpec(name="dog"),), 0) as run:
        run.grow(10, 4)
        yield run


def tree(run):
    return {path.relative_to(run.path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_stages_follow_each_other(run):
    run_stage(run, Numbers(), Silent())
    summary = run_stage(run, Squares(), Silent())
    assert (summary.samples, summary.made) == (10, 10)
    assert summary.statuses == {"ok": 5, "failed": 5}
    assert summary.reasons == {"it is odd": 5}
    rows = [row for spec in run.shards() for row in run.reader("squares", spec).rows]
    assert [row["square"] for row in rows] == [number**2 for number in range(10)]


def test_a_finished_stage_does_nothing_and_loads_nothing(run):
    run_stage(run, Numbers(), Silent())
    before = tree(run)
    again = Numbers()
    summary = run_stage(run, again, Silent())
    assert (summary.samples, summary.made, again.prepared) == (10, 0, 0)
    assert tree(run) == before


def test_only_what_is_missing_is_made(run):
    run_stage(run, Numbers(), Silent())
    before = tree(run)
    (run.path / "numbers" / "00001.parquet").unlink()
    (run.path / "numbers" / ".00001.parquet.0123456789ab.tmp").write_bytes(b"half")
    again = Numbers()
    run_stage(run, again, Silent())
    assert again.processed == [1]
    assert tree(run) == before


def test_more_samples_change_no_finished_shard(run):
    run_stage(run, Numbers(), Silent())
    before = tree(run)
    run.grow(20, 4)
    again = Numbers()
    run_stage(run, again, Silent())
    assert again.processed == [3, 4, 5]
    after = tree(run)
    assert all(after[path] == data for path, data in before.items() if path.name != "run.json" and path.name != ".lock")


def test_other_settings_are_never_mixed_in(run):
    run_stage(run, Numbers(), Silent())
    before = tree(run)
    with pytest.raises(UserError, match=r"offset: 0 → 5.*--redo"):
        run_stage(run, Numbers(5), Silent())
    assert tree(run) == before
    run_stage(run, Numbers(5), Silent(), redo=True)
    assert run.reader("numbers", run.shards()[0]).rows[0]["value"] == 5


def test_what_depends_on_a_stage_that_was_made_again_is_not_trusted(run):
    run_stage(run, Numbers(), Silent())
    run_stage(run, Squares(), Silent())
    run_stage(run, Numbers(5), Silent(), redo=True)
    with pytest.raises(UserError, match="its numbers was made again"):
        run_stage(run, Squares(), Silent())
    run_stage(run, Squares(), Silent(), redo=True)
    assert run.reader("squares", run.shards()[0]).rows[0]["square"] == 25


def test_a_stage_before_its_turn(run):
    with pytest.raises(UserError, match="run 'dsfactory numbers"):
        run_stage(run, Squares(), Silent())
    assert not (run.path / "squares").exists()


def test_shards_that_are_not_there_yet_are_waited_for(run):
    run_stage(run, Numbers(), Silent())
    (run.path / "numbers" / "00002.parquet").unlink()
    summary = run_stage(run, Squares(), Silent())
    assert (summary.samples, summary.waiting) == (8, 2)


def test_a_shard_of_the_stage_before_of_earlier_settings_is_waited_for(run):
    """As a redo leaves it that was killed while the old shards were being deleted, and then stopped by a limit."""
    run_stage(run, Numbers(), Silent())
    old = {path: path.read_bytes() for path in (run.path / "numbers").glob("00001.*")}
    run_stage(run, Numbers(5), Silent(), redo=True)
    for path, data in old.items():
        path.write_bytes(data)
    summary = run_stage(run, Squares(), Silent())
    assert (summary.samples, summary.waiting) == (6, 4)
    run_stage(run, Numbers(5), Silent())
    assert run_stage(run, Squares(), Silent()).samples == 10
    rows = [row for spec in run.shards() for row in run.reader("squares", spec).rows]
    assert [row["square"] for row in rows] == [(number + 5) ** 2 for number in range(10)]


def test_reading_what_is_finished_is_shown_when_it_takes_long(run, monkeypatch):
    run_stage(run, Numbers(), Silent())
    told = []

    class Told(Silent):
        def begin(self, *what):
            told.append(what)

        def advance(self, stage=None, samples=1):
            told.append((stage, samples))

    run_stage(run, Numbers(), Told())
    assert told == [("numbers", 10, 10)]
    monkeypatch.setattr(local, "UNSHOWN_S", 0.0)
    run_stage(run, Numbers(), Told())
    assert told[1:] == [
        ("reading numbers", 3, 0, "shards"), *[("reading numbers", 1)] * 3, ("numbers", 10, 10),
    ]  # fmt: skip


def test_a_damaged_upstream_shard_is_named_and_the_rest_goes_on(run):
    run_stage(run, Numbers(), Silent())
    os.truncate(run.path / "numbers" / "00001.tar", 100)
    summary = run_stage(run, Squares(), Silent())
    assert summary.samples == 6
    assert len(summary.damaged) == 1 and "00001.tar" in summary.damaged[0]
    run_stage(run, Numbers(), Silent())
    assert run_stage(run, Squares(), Silent()).samples == 10


def test_an_error_keeps_finished_shards_and_no_half_one(run):
    class Stumbling(Numbers):
        def process(self, shard, upstream):
            for record in super().process(shard, upstream):
                if record.row["value"] == 6:
                    raise RuntimeError("stumbled")
                yield record

    with pytest.raises(RuntimeError, match="stumbled"):
        run_stage(run, Stumbling(), Silent())
    assert sorted(path.name for path in (run.path / "numbers").iterdir()) == [
        "00000.parquet", "00000.tar", "stage.json",
    ]  # fmt: skip
