"""What a node of a Ray cluster does, here in this process: it needs no Ray."""

import errno
import os
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsfactory.core.chain import Step
from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run
from dsfactory.core.space import Space
from dsfactory.errors import UserError
from dsfactory.runner import ray_node
from dsfactory.runner import scheduler as scheduling
from dsfactory.runner.ray_node import Order, comparable_versions, make
from dsfactory.storage.atomic import write_atomic
from dsfactory.storage.mirror import open_mirror
from dsfactory.storage.remote import finished_elsewhere
from tests.command import tree
from tests.runner import toys
from tests.runner.toys import Doubles, Numbers, Squares, steps

CLASSES = (ClassSpec(name="dog"),)


@dataclass
class Learnt(Numbers):
    """Its offset is in a file of its folder."""

    file: Path = Path()
    needed = ("net.txt",)

    def in_run(self, run):
        return Learnt(file=run / "numbers" / "net.txt")

    def identity(self):
        return {"offset": self.file.read_text()}

    def load(self):
        if not self.file.read_text().isdigit():
            raise UserError(f"{self.file} is damaged")
        self.offset = int(self.file.read_text())


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_node, "_makers", {})  # another node than that of the test before
    with Run.claim(tmp_path / "run", CLASSES, 0) as run:
        run.grow(6, 4)
        yield run


def order(run, step, place=None, **versions):
    """As it arrives on a node."""
    there = str(place or run.path)
    sent = Order(there, run, Step(step.stage, step.inputs), step.mark, comparable_versions() | versions)
    return pickle.loads(pickle.dumps(sent))


def begun(run, *stages):
    """The last of some stages that follow each other, at work in a run."""
    step = steps(*stages)[-1]
    scheduling.begin_step(run, step)
    return step


def test_it_makes_a_shard_and_tells(run):
    made = make(order(run, begun(run, Numbers())), run.shards()[1])
    assert run.reader("numbers", run.shards()[1]).rows[0]["value"] == 4
    ((event, facts),) = made.events
    assert event == "shard" and facts["shard"] == 1 and facts["node"] and made.outcomes == [{}, {}]


def test_it_loads_a_stage_once(run, tmp_path):
    sent = order(run, begun(run, Numbers(loads=tmp_path / "loads")))
    for spec in run.shards():
        make(sent, spec)
    assert toys.size(tmp_path / "loads") == 1


def test_a_stage_that_could_not_be_loaded_is_not_kept(run):
    step = begun(run, Numbers())
    with pytest.raises(UserError, match="no such model"):
        make(order(run, Step(Numbers(mistake="no such model"))), run.shards()[0])
    assert make(order(run, step), run.shards()[0]).outcomes == [{}] * 4


def test_it_makes_a_part_of_the_artifacts(run):
    run.make_stage_folder("numbers")
    sent = Order(str(run.path), run, Step(Numbers(7)), "", comparable_versions())
    assert make(sent, "a").outcomes == []
    assert (run.stage_folder("numbers") / "a.txt").read_text() == "a 7"
    make(Order(str(run.path), run, Step(Numbers(8)), "", comparable_versions()), "b")
    assert (run.stage_folder("numbers") / "b.txt").read_text() == "b 8", "another stage's part"


def test_it_makes_a_shard_of_a_sample_space(run):
    space = Space.of(run, Doubles)
    space.extend({"dog": 6}, 4)
    make(order(space, begun(space, Doubles())), space.shards()[1])
    assert [row["key"] for row in space.reader("doubles", space.shards()[1]).rows] == [
        "doubles-00000004", "doubles-00000005",
    ]  # fmt: skip


def test_another_version_is_refused(run):
    with pytest.raises(UserError, match=r"^node \S+: torch is \S+ there, and 1\.0 on the machine that started"):
        make(order(run, begun(run, Numbers()), torch="1.0"), run.shards()[0])
    assert not run.finished("numbers")


def test_builds_for_other_devices_are_the_same_version():
    assert "+" not in comparable_versions()["torch"] and "python" not in comparable_versions()


def test_other_settings_are_refused(run):
    sent = Order(str(run.path), run, Step(Numbers(1)), begun(run, Numbers()).mark, comparable_versions())
    with pytest.raises(UserError, match="another version of dsfactory or of the model"):
        make(sent, run.shards()[0])


def test_a_run_that_is_not_there_is_named(run, tmp_path):
    with pytest.raises(UserError, match=r"^node \S+: \S+elsewhere is not seen there: --out has to be on storage"):
        make(order(run, begun(run, Numbers()), tmp_path / "elsewhere"), run.shards()[0])


@pytest.fixture
def stored(s3, monkeypatch):
    """A run in a bucket, as the machine sees it that holds its lock, and its URL."""
    monkeypatch.setattr(ray_node, "_makers", {})
    url = f"s3://{s3.bucket()}/runs/a"
    with open_mirror(url, "run") as root, Run.claim(root, CLASSES, 0) as run:
        run.grow(6, 4)
        yield run, url


def make_there(run, url, *stages):
    """Make the last of some stages shard by shard as nodes do."""
    step = begun(run, *stages)
    folder = step.stage.folder
    for spec in run.shards():
        assert not make(order(run, step, url), spec).damaged
        assert not run.is_done(folder, spec, step.mark), "a node's folder is its own"
        finished_elsewhere(*(run.stage_folder(folder) / name for name in spec.files))
        assert run.is_done(folder, spec, step.mark)


def test_in_a_bucket_nodes_need_no_common_folder(stored, s3, tmp_path):
    run, url = stored
    make_there(run, url, Numbers())
    make_there(run, url, Numbers(), Squares())
    assert [record.row["square"] for record in run.reader("squares", run.shards()[1]).records()] == [16, 25]
    with Run.claim(tmp_path / "local", CLASSES, 0) as local:
        local.grow(6, 4)
        toys.make(local, Numbers(), Squares())
    there = s3.objects(url.split("/")[2], "runs/a")
    assert {name: data for name, data in there.items() if not name.startswith(".lock.")} == tree(local.path)


def test_what_other_machines_made_is_deleted_like_one_s_own(stored, s3):
    run, url = stored
    make_there(run, url, Numbers())
    run.discard(Numbers)
    run.grow(7, 4)
    assert not [name for name in s3.objects(url.split("/")[2], "runs/a") if name.startswith("numbers/")]


def test_a_node_fetches_what_the_stage_needs(stored):
    run, url = stored
    net = run.make_stage_folder("numbers") / "net.txt"
    write_atomic(net, b"7")
    make_there(run, url, Learnt(file=net))
    assert [row["value"] for row in run.reader("numbers", run.shards()[1]).rows] == [11, 12]


def test_a_damaged_shard_is_named_by_its_url(stored, s3):
    run, url = stored
    make_there(run, url, Numbers())
    s3.put(url.split("/")[2], "runs/a/numbers/00001.tar", b"other bytes")
    made = make(order(run, begun(run, Numbers(), Squares()), url), run.shards()[1])
    assert made.damaged.startswith(f"{url}/numbers/00001.tar: has 11 bytes")


def test_a_sample_space_in_a_bucket(stored):
    run, url = stored
    space = Space.of(run, Doubles)
    space.extend({"dog": 6}, 4)
    make_there(space, url, Doubles())


@pytest.mark.parametrize("what", ["run.json", "numbers/00000.tar"])
def test_a_node_that_cannot_use_the_bucket_is_named(stored, s3, what):
    run, url = stored
    sent = order(run, begun(run, Numbers(), *([Squares()] if "tar" in what else [])), url)
    s3.fault = lambda method, path: "error" if path.endswith(what) else None
    with pytest.raises(UserError, match=rf"^node \S+: {url} cannot be used: "):
        make(sent, run.shards()[0])


def test_a_node_whose_disk_is_full_is_named(stored, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run, url = stored
    sent = order(run, begun(run, Numbers()), url)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=rf"^node \S+: no space left on the disk of {tempfile.gettempdir()}: free some"):
        make(sent, run.shards()[0])


def test_a_mistake_with_what_a_stage_needs_names_the_url(stored):
    run, url = stored
    net = run.make_stage_folder("numbers") / "net.txt"
    write_atomic(net, b"no network")
    with pytest.raises(UserError, match=rf"^node \S+: {url}/numbers/net.txt is damaged$"):
        make(order(run, begun(run, Learnt(file=net)), url), run.shards()[0])
