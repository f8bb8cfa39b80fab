"""What a node of a Ray cluster does, here in this process: it needs no Ray."""

import pytest

from dsfactory.core.config import ClassSpec
from dsfactory.core.errors import UserError
from dsfactory.core.run import Run
from dsfactory.engine import ray_node
from dsfactory.engine.local import claim_stage
from dsfactory.engine.ray_node import Order, comparable_versions, make
from tests.engine.toys import Numbers


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_node, "_prepared", {})  # another node than that of the test before
    with Run.claim(tmp_path / "run", (ClassSpec(name="dog"),), 0) as run:
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
    with pytest.raises(UserError, match=r"has torch \S+, the machine that started the command 1\.0: install the same"):
        make(order(run, torch="1.0"), Numbers(), run.shards()[0])
    assert not run.finished("numbers")


def test_builds_for_other_devices_are_the_same_version():
    assert "+" not in comparable_versions()["torch"] and "python" not in comparable_versions()


def test_other_settings_are_refused(run):
    with pytest.raises(UserError, match="another version of dsfactory or of the model"):
        make(order(run), Numbers(offset=1), run.shards()[0])


def test_a_run_that_is_not_there_is_named(run, tmp_path):
    with pytest.raises(UserError, match=r"does not see .*elsewhere: --out has to be on storage that all nodes share"):
        make(Order(str(tmp_path / "elsewhere"), "mark", comparable_versions()), Numbers(), run.shards()[0])
