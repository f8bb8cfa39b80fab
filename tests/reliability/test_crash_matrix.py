"""The crash matrix in its short form, and that it would see what it looks for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardSpec, ShardWriter
from scripts.crash_matrix import Campaign
from scripts.crash_watch import STAGES, Watched, contents, differences

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # tests/stages/test_contract.py kills each stage once
def test_twelve_kills_lose_nothing(tiny_model, tmp_path):
    # A process of its own, for it forks those that it kills.
    line = [sys.executable, "-m", "scripts.crash_matrix", "--kills", "12", "--seed", "5", "--model", str(tiny_model)]
    done = subprocess.run(
        [*line, "--work", str(tmp_path / "work")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert (report["differences"], report["samples_lost"]) == ([], 0)
    assert report["total_kills"] >= 12
    assert len(report["kills"]) >= 2 / 3 * len(STAGES), "a kill may come when its stage is through, but not often"
    assert {way for by_way in report["kills"].values() for way in by_way} == {"SIGKILL", "SIGTERM", "two at once"}
    assert report["left_temporary_files"], "no kill met a file that was being written"
    assert str(tmp_path) not in done.stdout


def test_every_kind_of_difference_is_seen(tmp_path):
    for name in ("whole", "killed"):
        folder = tmp_path / name / "run" / "refine"
        folder.mkdir(parents=True)
        for file in ("00000.tar", "00000.parquet", ".lock"):
            (folder / file).write_bytes(b"same")
    whole = contents(tmp_path / "whole", hidden=True)
    killed = tmp_path / "killed" / "run" / "refine"
    (killed / ".lock").write_bytes(b"another process")
    assert differences(contents(tmp_path / "killed", hidden=True), whole, partial=False) == []
    (killed / "00000.tar").write_bytes(b"sane")
    (killed / ".00000.tar.0123456789ab.tmp").write_bytes(b"")
    (killed / "00000.parquet").unlink()
    assert differences(contents(tmp_path / "killed", hidden=True), whole, partial=False) == [
        "run/refine/.00000.tar.0123456789ab.tmp should not be there",
        "run/refine/00000.parquet is missing",
        "run/refine/00000.tar has other bytes",
    ]
    assert differences(contents(tmp_path / "killed", hidden=False), whole, partial=True) == [
        "run/refine/00000.tar has other bytes"
    ]
    assert Watched(tmp_path / "killed").temporary() == ["run/refine/.00000.tar.0123456789ab.tmp"]


@pytest.mark.parametrize(
    "name", ["filter/fold-0-0123abcd.checkpoint", "evaluate/trainings/real-0-0123abcd.safetensors"]
)
def test_a_checkpoint_may_be_there_until_the_end(tmp_path, name):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    whole = contents(tmp_path, hidden=True)
    path.write_bytes(b"half a training")
    assert differences(contents(tmp_path, hidden=False), whole, partial=True) == []
    assert differences(contents(tmp_path, hidden=True), whole, partial=False) == [f"run/{name} should not be there"]


@pytest.mark.parametrize(
    "name",
    ["run/prompts/00000.parquet", "run/splice/00003.parquet", "run/filter/fold-1.safetensors",
     "run/evaluate/trainings/both-0-0123abcd.json", "labels/generate/00001.parquet"],
)  # fmt: skip
def test_what_is_made_again_is_seen(tmp_path, name):
    mark = tmp_path / name
    mark.parent.mkdir(parents=True)
    mark.write_bytes(b"same")
    watched = Watched(tmp_path)
    before = watched.finished()
    assert [*before] == [name]
    assert watched.finished() == before
    again = mark.with_name("again")
    again.write_bytes(b"same")
    again.replace(mark)
    assert watched.finished() != before


def test_a_lost_shard_counts_its_samples(tmp_path):
    folder = tmp_path / "run" / "generate"
    folder.mkdir(parents=True)
    with ShardWriter(folder, ShardSpec(0, 0, 3), pa.schema([("key", pa.string())]), "f") as writer:
        for number in range(3):
            writer.add(Record(sample_key(number), {"key": sample_key(number)}))
        writer.commit()
    assert Watched(tmp_path).samples("run/generate/00000.parquet") == 3
    assert Watched(tmp_path).samples("run/filter/fold-0.safetensors") == 0


def test_who_works_on_what(tmp_path):
    runs = tmp_path / "out"
    (runs / "run" / "prompts").mkdir(parents=True)
    (runs / "run" / "prompts" / "stage.json").write_text("{}")
    watched = Watched(runs)
    (tmp_path / "now.7").write_text("run")
    assert not watched.begun_by("prompts", [7]), "it does not hold the lock yet"
    (runs / "run" / ".lock").write_text(json.dumps({"pid": 7}))
    assert watched.begun_by("prompts", [7])
    assert not watched.begun_by("generate", [7])
    assert not watched.begun_by("prompts", [8])
    assert not watched.begun_by("export", [7])
    assert not watched.begun_by("filter", [7])
    (tmp_path / "now.7").write_text("filter")
    assert watched.begun_by("filter", [7])
    assert not watched.begun_by("prompts", [7])


def test_a_campaign_goes_on_only_as_it_was_begun(tmp_path):
    (tmp_path / "stranger").write_text("mine")
    with pytest.raises(SystemExit, match="is not empty"):
        Campaign(tmp_path, "pocket", 1).begin()
    (tmp_path / "stranger").unlink()
    begun = Campaign(tmp_path, "pocket", 1)
    begun.report.total_kills, begun.report.rounds = 18, 1
    begun.save()
    (tmp_path / "round0").mkdir()
    (tmp_path / "round1").mkdir()
    resumed = Campaign(tmp_path, "pocket", 1)
    resumed.begin()
    assert resumed.report == begun.report
    assert (tmp_path / "round0").exists(), "a round with differences is kept to be looked at"
    assert not (tmp_path / "round1").exists(), "the round that was stopped begins anew"
    with pytest.raises(SystemExit, match="other arguments"):
        Campaign(tmp_path, "pocket", 2).begin()
