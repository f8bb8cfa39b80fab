"""A run that stages of somebody else made is examined and repaired as any other."""

import os
import shutil
from pathlib import Path

import pytest

from dsfactory.core.run import Run
from dsfactory.core.shard import ShardWriter
from dsfactory.core.space import Space, space_of
from dsfactory.core.stage import fingerprint
from dsfactory.errors import UserError
from dsfactory.runner.progress import Silent
from dsfactory.stages import STAGES
from dsfactory.verify import verify_path
from tests.brought import bring, brought_run
from tests.command import tree


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The run as it was made. Not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        bring(patch)
        yield brought_run(tmp_path_factory.mktemp("brought") / "a")


@pytest.fixture
def run_path(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "a"))


def rewrite(path, stage, change):
    """Write a stage's first shard again, its first record changed, with checksums that fit."""
    kind, run = STAGES[stage], Run.open(path)
    space = space_of(run, kind)
    reader, spec = space.reader(stage, space.shards()[0]), space.shards()[0]
    records = list(reader.records())
    change(records[0])
    with ShardWriter(path / stage, spec, kind.writes.schema, reader.mark.fingerprint) as writer:
        for record in records:
            writer.add(record)
        writer.commit()


def test_it_is_sound(made):
    found = verify_path(made, Silent())
    assert (found.faults, found.notes) == ([], [])
    assert found.checked == {"squares shards": 3, "glow shards": 3, "echo shards": 2}


CHANGES = {
    "an image of another size": ("squares", lambda record: record.row.update(width=16), "its row says (16, 32)"),
    "an image that is none": ("echo", lambda record: record.files.update({"image.png": b"x"}), "not a readable PNG"),
    "a mask that is none": ("echo", lambda record: record.files.update({"mask.png": b"x"}), "not a readable PNG"),
    "a file too few": ("squares", lambda record: record.files.pop("mask.png"), "has image.png, instances.png instead"),
    "a file too many": ("glow", lambda record: record.files.update({"x.png": b""}), "has x.png instead of no files"),
    "a class that is not shown": ("echo", lambda record: record.row.update(classes=["bird"]), "no class of the image"),
    "other rows than those read": ("glow", lambda record: record.row.update(classes=["bird"]), "of something else"),
    "what the stage itself finds": ("glow", lambda record: record.row.update(glow=-1.0), "it glows darkly"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_broken_promise_is_named_and_the_shard_made_again(made, run_path, change):
    stage, alter, says = CHANGES[change]
    rewrite(run_path, stage, alter)
    faults = verify_path(run_path, Silent()).faults
    assert any(says in fault.text for fault in faults if (fault.stage, fault.shard) == (stage, 0)), faults
    assert verify_path(run_path, Silent(), repair=True).faults == []
    assert tree(run_path) == tree(made)


@pytest.mark.parametrize(
    ("name", "repaired"),
    [
        ("squares/00001.tar", ["squares/00001", "glow/00001"]),
        ("glow/00002.parquet", ["glow/00002"]),
        ("echo/00001.tar", ["echo/00001"]),
        ("squares/stage.json", []),
        ("echo/stage.json", []),
    ],
)
def test_what_is_damaged_is_made_again_to_the_same_bytes(made, run_path, name, repaired):
    os.truncate(run_path / name, 5)
    assert verify_path(run_path, Silent()).exit_code == 3
    found = verify_path(run_path, Silent(), repair=True)
    assert (found.faults, found.repaired) == ([], repaired)
    assert tree(run_path) == tree(made)


def test_all_at_once(made, run_path):
    for name in ("squares/00000.tar", "glow/stage.json", "echo/00000.tar", "echo/stage.json"):
        (run_path / name).unlink()
    os.truncate(run_path / "glow/00002.parquet", 5)
    found = verify_path(run_path, Silent(), repair=True)
    assert found.repaired == ["squares/00000", "glow/00000", "glow/00002", "echo/00000"]
    assert tree(run_path) == tree(made)


def test_every_shard_of_a_stage_is_made_again(made, run_path):
    for path in run_path.glob("squares/*.parquet"):
        path.unlink()
    texts = [fault.text for fault in verify_path(run_path, Silent()).faults]
    assert texts == ["is missing, though glow was made of it"] * 3
    assert verify_path(run_path, Silent(), repair=True).faults == []
    assert tree(run_path) == tree(made)


def test_a_composer_whose_sources_have_changed_is_left_to_its_command(run_path):
    run = Run.open(run_path)
    state = run.stage_state("echo")
    identity = {**state.identity, "sources": "others"}
    changed = state.model_copy(update={"identity": identity, "fingerprint": fingerprint("echo", 1, identity, "")})
    run.begin_stage(changed)
    with pytest.raises(UserError, match="echo was made with other settings"):
        verify_path(run_path, Silent(), repair=True)


def test_a_sample_space_that_cannot_be_read_is_named(run_path):
    (run_path / "echo/shards.json").write_text("{")
    assert [fault.place for fault in verify_path(run_path, Silent()).faults] == ["echo/shards.json"]


def test_shards_that_are_not_finished_are_no_fault(run_path):
    Space.of(Run.open(run_path), STAGES["echo"]).extend({"loud": 5}, 2)
    found = verify_path(run_path, Silent())
    assert (found.faults, found.notes) == ([], ["1 shard of echo is not finished yet: 'dsfactory echo' goes on"])
