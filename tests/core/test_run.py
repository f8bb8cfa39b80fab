import subprocess
import sys

import pyarrow as pa
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run, newest_run
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Kind, Output, Role, Stage
from dsfactory.errors import RunLocked, UserError

DOG, BIRD = ClassSpec(name="dog"), ClassSpec(name="bird")


def make(path, classes=(DOG, BIRD), seed=0, total=0):
    with Run.claim(path, classes, seed) as run:
        run.grow(total, 4)
    return run


def test_a_run_is_made_and_found_again(tmp_path):
    make(tmp_path / "a", total=10)
    run = Run.open(tmp_path / "a")
    assert run.manifest.classes == (DOG, BIRD)
    assert run.shards() == [ShardSpec(0, 0, 4), ShardSpec(1, 4, 8), ShardSpec(2, 8, 10)]
    assert run.total == 10


def test_growing_adds_shards_and_changes_none(tmp_path):
    make(tmp_path / "a", total=10)
    before = Run.open(tmp_path / "a").shards()
    make(tmp_path / "a", total=17)
    after = Run.open(tmp_path / "a").shards()
    assert after[: len(before)] == before
    assert after[len(before) :] == [ShardSpec(3, 10, 14), ShardSpec(4, 14, 17)]
    make(tmp_path / "a", total=5)
    assert Run.open(tmp_path / "a").shards() == after


def test_equal_runs_have_equal_bytes(tmp_path):
    for name in ("a", "b"):
        make(tmp_path / name, total=3)
    files = [sorted((path.name, path.read_bytes()) for path in (tmp_path / name).iterdir()) for name in ("a", "b")]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("classes", "seed", "says"),
    [
        ((DOG,), 0, "holds the classes dog, bird"),
        ((DOG, BIRD), 1, "has the seed 0"),
        ((ClassSpec(name="dog", synonyms=("puppy",)), BIRD), 0, "other synonyms"),
    ],
)
def test_a_run_is_not_mixed_with_another(tmp_path, classes, seed, says):
    make(tmp_path / "a")
    with pytest.raises(UserError, match=says):
        make(tmp_path / "a", classes, seed)


def test_a_folder_of_someone_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and not a dsfactory run"):
        make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UserError, match="is a file"):
        make(tmp_path / "thesis.txt")


def test_a_folder_that_is_not_a_run(tmp_path):
    with pytest.raises(UserError, match=r"it has no run\.json"):
        Run.open(tmp_path)
    with pytest.raises(UserError, match="is not there"):
        Run.open(tmp_path / "none")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match="upgrade"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(UserError, match=r"run\.json"):
        Run.open(tmp_path)


class Toy(Stage):
    """A stage with artifacts beside its shards."""

    name, version, kind, Config = "toy", 1, Kind.SOURCE, Section
    writes = Output((Role.PROMPT,), pa.schema([("key", pa.string())]))
    artifacts = ("pool.*", "net-?.bin")

    def identity(self):
        return {}

    def process(self, shard, *inputs):
        return iter(())


def test_shards_with_longer_numbers_are_discarded_too_and_nothing_else(tmp_path):
    folder = make(tmp_path / "a").make_stage_folder("toy")
    assert ShardSpec(100_000, 0, 1).name == "100000"
    ours = ["stage.json", "00000.tar", "99999.parquet", "100000.parquet", "100000.tar", "4999999.tar", "pool.json",
            "net-1.bin"]  # fmt: skip
    others = ["0000.tar", "00000.tar.old", "x00000.tar", "100000.png", "notes.txt", "net-12.bin", "my-pool.json"]
    for name in ours + others:
        (folder / name).touch()
    Run.open(tmp_path / "a").discard(Toy)
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)


@pytest.mark.parametrize(
    "write", [lambda run: run.discard(Toy), lambda run: run.make_stage_folder("toy")], ids=["discard", "make"]
)
def test_a_run_is_written_within_its_own_folder_only(tmp_path, write):
    run = make(tmp_path / "a")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "00000.tar").touch()
    (run.path / "toy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        write(run)
    (run.path / "toy").unlink()
    (run.path / "toy").touch()
    with pytest.raises(UserError, match="is a file where the stage's folder belongs"):
        write(run)
    assert (tmp_path / "elsewhere" / "00000.tar").exists()


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path):
    make(tmp_path / "a")
    code = f"""
from pathlib import Path
from dsfactory.core.run import Run
with Run.open(Path({str(tmp_path / "a")!r})).lock():
    print("held", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(RunLocked, match=rf"process {child.pid} \(started 2"):
            make(tmp_path / "a")
        child.kill()
    make(tmp_path / "a")


def test_the_newest_run_is_the_default(tmp_path):
    with pytest.raises(UserError, match="generate --classes"):
        newest_run(tmp_path / "runs")
    for name in ("b", "a"):
        make(tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes").mkdir()
    assert newest_run(tmp_path / "runs").name == "a"


def test_a_class_may_have_more_samples_and_the_run_grows_in_any_proportion(tmp_path):
    with Run.claim(tmp_path / "a", (DOG, BIRD), 0) as run:
        run.extend({"dog": 2, "bird": 2}, 4)
        assert "blocks" not in (run.path / "run.json").read_text()
        assert run.planned({"dog": 5, "bird": 1}, False) == 7
        run.extend({"dog": 5, "bird": 1}, 4)
    opened = Run.open(tmp_path / "a")
    assert opened.manifest.numbering.counts() == {"dog": 5, "bird": 2}
    cells = [(sample.cell, sample.index) for spec in opened.shards() for sample in opened.samples(spec)]
    assert cells == [("dog", 0), ("bird", 0), ("dog", 1), ("bird", 1), ("dog", 2), ("dog", 3), ("dog", 4)]


def test_a_manifest_whose_blocks_and_shards_disagree_is_refused(tmp_path):
    with Run.claim(tmp_path / "a", (DOG, BIRD), 0) as run:
        run.extend({"dog": 5, "bird": 1}, 4)
    text = (run.path / "run.json").read_text()
    for old, new in (("6,\n   0\n", "5,\n   0\n"), ("6,\n   0\n", "6,\n   2\n")):
        assert old in text
        (run.path / "run.json").write_text(text.replace(old, new))
        with pytest.raises(UserError, match="block"):
            Run.open(run.path)
