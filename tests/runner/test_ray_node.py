"""What a node of a Ray cluster does, here in this process: it needs no Ray."""

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsfactory.core.config import ClassSpec
from dsfactory.core.run import Run, StageState
from dsfactory.core.stage import fingerprint
from dsfactory.errors import UserError
from dsfactory.runner import ray_node
from dsfactory.runner.progress import Silent
from dsfactory.runner.ray_node import Order, comparable_versions, make
from dsfactory.runner.scheduler import claim_stage, run_stage
from dsfactory.stages.refine.affinity_file import FILE
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.stage import RefineStage
from dsfactory.storage.atomic import write_atomic
from dsfactory.storage.mirror import open_mirror
from dsfactory.storage.remote import finished_elsewhere
from tests.command import tree
from tests.runner.toys import Numbers, Squares

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

    def prepare(self):
        self.offset = int(self.file.read_text())


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_node, "_prepared", {})  # another node than that of the test before
    with Run.claim(tmp_path / "run", CLASSES, 0) as run:
        run.grow(6, 4)
        yield run


def order(run, mark=None, **versions):
    return Order(str(run.path), mark or claim_stage(run, Numbers()), comparable_versions() | versions)


def test_it_makes_a_shard_and_tells(run):
    made = make(order(run), Numbers(), run.shards()[1])
    assert run.reader("numbers", run.shards()[1]).rows[0]["value"] == 4
    ((event, facts),) = made.events
    assert event == "shard" and facts["shard"] == 1 and facts["node"] and made.outcomes == [{}, {}]


def test_another_version_is_refused(run):
    with pytest.raises(UserError, match=r"^node \S+: torch is \S+ there, and 1\.0 on the machine that started"):
        make(order(run, torch="1.0"), Numbers(), run.shards()[0])
    assert not run.finished("numbers")


def test_builds_for_other_devices_are_the_same_version():
    assert "+" not in comparable_versions()["torch"] and "python" not in comparable_versions()


def test_other_settings_are_refused(run):
    with pytest.raises(UserError, match="another version of dsfactory or of the model"):
        make(order(run), Numbers(offset=1), run.shards()[0])


def test_a_run_that_is_not_there_is_named(run, tmp_path):
    with pytest.raises(UserError, match=r"^node \S+: \S+elsewhere is not seen there: --out has to be on storage"):
        make(Order(str(tmp_path / "elsewhere"), "mark", comparable_versions()), Numbers(), run.shards()[0])


@pytest.fixture
def stored(s3, monkeypatch):
    """A run in a bucket, as the machine sees it that holds its lock, and its URL."""
    monkeypatch.setattr(ray_node, "_prepared", {})
    url = f"s3://{s3.bucket()}/runs/a"
    with open_mirror(url, "run") as root, Run.claim(root, CLASSES, 0) as run:
        run.grow(6, 4)
        yield run, url


def make_there(run, url, stage):
    """Make a stage shard by shard as nodes do."""
    order = Order(url, claim_stage(run, stage), comparable_versions())
    for spec in run.shards():
        assert not make(order, stage, spec).damaged
        assert not run.is_done(stage.name, spec, order.mark), "a node's folder is its own"
        finished_elsewhere(*(run.stage_folder(stage.name) / name for name in spec.files))
        assert run.is_done(stage.name, spec, order.mark)


def test_in_a_bucket_nodes_need_no_common_folder(stored, s3, tmp_path):
    run, url = stored
    for stage in (Numbers(), Squares()):
        make_there(run, url, stage)
    assert [record.row["square"] for record in run.reader("squares", run.shards()[1]).records()] == [16, 25]
    with Run.claim(tmp_path / "local", CLASSES, 0) as local:
        local.grow(6, 4)
        for stage in (Numbers(), Squares()):
            run_stage(local, stage, Silent())
    there = s3.objects(url.split("/")[2], "runs/a")
    assert {name: data for name, data in there.items() if not name.startswith(".lock.")} == tree(local.path)


def test_what_other_machines_made_is_deleted_like_one_s_own(stored, s3):
    run, url = stored
    make_there(run, url, Numbers())
    run.discard_stage("numbers")
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
    order = Order(url, claim_stage(run, Squares()), comparable_versions())
    assert make(order, Squares(), run.shards()[1]).damaged.startswith(f"{url}/numbers/00001.tar: has 11 bytes")


@pytest.mark.parametrize("what", ["run.json", "numbers/00000.tar"])
def test_a_node_that_cannot_use_the_bucket_is_named(stored, s3, what):
    run, url = stored
    order = Order(url, claim_stage(run, Numbers()), comparable_versions())
    s3.fault = lambda method, path: "error" if path.endswith(what) else None
    with pytest.raises(UserError, match=rf"^node \S+: {url} cannot be used: "):
        make(order, Numbers(), run.shards()[0])


def test_a_node_whose_disk_is_full_is_named(stored, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run, url = stored
    order = Order(url, claim_stage(run, Numbers()), comparable_versions())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=rf"^node \S+: no space left on the disk of {tempfile.gettempdir()}: free some"):
        make(order, Numbers(), run.shards()[0])


def test_refine_finds_the_affinity_network_in_the_node_s_folder(stored):
    """And a mistake with it names the URL, not that folder."""
    run, url = stored
    for stage, file in (("generate", "stage.json"), ("refine", FILE)):
        write_atomic(run.make_stage_folder(stage) / file, b"no network")
    stage = RefineStage.of_run(RefineConfig(affinity="net"), CLASSES, run.path)
    state = StageState(stage="refine", version=stage.version, upstream="", identity={}, fingerprint="")
    run.begin_stage(state.model_copy(update={"fingerprint": fingerprint(stage, stage.identity(), "")}))
    order = Order(url, fingerprint(stage, stage.identity(), ""), comparable_versions())
    with pytest.raises(UserError, match=rf"^node \S+: {url}/refine/{FILE} "):
        make(order, stage, run.shards()[0])
