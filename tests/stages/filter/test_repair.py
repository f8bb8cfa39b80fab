"""Filter as a member of a run that real stages made: damage, repair, refining again."""

import os
import shutil
from pathlib import Path

import pytest

from dsfactory.errors import UserError
from dsfactory.jobs.export import export_job
from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.settings import merge_settings
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import tree
from tests.stages.filter.scenes import QUICK

SETTINGS = merge_settings(QUICK, {"filter": {"keep": 0.5, "min_area": 0.0, "max_area": 1.0, "segment": {"steps": 1}}})


def make(path, *stages, flags=None, **settings):
    return run_job(Request(stages, path, flags=flags or {}, **settings), Silent())


@pytest.fixture(scope="module")
def filtered(tiny_model, tmp_path_factory):
    """Eight drawn samples in two shards, refined and filtered. Not to be changed."""
    out = tmp_path_factory.mktemp("drawn") / "a"
    flags = {"classes": [{"name": "dog"}, {"name": "bird"}], "num": 4, "shard_size": 4, "refine": {"min_box": 0},
             "generate": {"model": str(tiny_model), "width": 64, "height": 64, "steps": 1}}  # fmt: skip
    make(out, "prompts", "generate", flags=flags)
    make(out, "refine")
    make(out, "filter", flags=SETTINGS)
    return out


@pytest.fixture
def run_path(filtered, tmp_path):
    return Path(shutil.copytree(filtered, tmp_path / "a"))


def test_the_run_is_sound(filtered):
    found = verify_path(filtered, Silent())
    assert (found.faults, found.notes) == ([], [])
    assert found.checked["filter shards"] == 2


@pytest.mark.parametrize(
    ("name", "repaired"),
    [("filter/00001.tar", ["filter/00001"]), ("filter/stage.json", []),
     ("refine/00000.tar", ["refine/00000", "filter/00000"])],
)  # fmt: skip
def test_what_is_damaged_is_made_again_to_the_same_bytes(filtered, run_path, name, repaired):
    os.truncate(run_path / name, 0)
    assert verify_path(run_path, Silent()).exit_code == 3
    found = verify_path(run_path, Silent(), repair=True)
    assert (found.exit_code, found.repaired) == (0, repaired)
    assert tree(run_path) == tree(filtered)


def test_without_its_networks_other_stages_are_still_repaired(filtered, run_path):
    (run_path / "filter" / "fold-0.safetensors").unlink()
    os.truncate(run_path / "refine/00000.tar", 0)
    found = verify_path(run_path, Silent(), repair=True)
    assert (found.exit_code, found.repaired) == (0, ["refine/00000"])
    make(run_path, "filter")
    assert tree(run_path) == tree(filtered)


def test_masks_that_were_refined_again_are_filtered_again(run_path):
    make(run_path, "refine", flags={"refine": {"threshold": 0.4}}, redo=True)
    with pytest.raises(UserError, match=r"made again since: run 'dsfactory filter .* --redo' first"):
        export_job(run_path, "coco", None, 0.5)
    assert any("dsfactory filter --redo" in str(fault) for fault in verify_path(run_path, Silent()).faults)
    make(run_path, "filter", redo=True)
    assert verify_path(run_path, Silent()).faults == []
    assert sum(export_job(run_path, "coco", None, 0.5)[0].images.values()) > 0


def test_a_run_that_grows_is_filtered_again(run_path, capsys):
    make(run_path, "prompts", "generate", append=1)
    make(run_path, "refine")
    with pytest.raises(UserError, match="filter has judged 2 of 3 shards"):
        export_job(run_path, "coco", None, 0.5)
    make(run_path, "filter")
    assert "all are judged again" in capsys.readouterr().err
    assert verify_path(run_path, Silent()).faults == []
