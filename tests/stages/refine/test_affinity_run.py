"""The affinity network in a run: trained once, before the masks, and named by them."""

import json
import shutil

import pytest
import torch

from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.jobs.job import generate_job, refine_job
from dsfactory.runner.progress import Silent
from dsfactory.stages.refine.affinity_file import FILE, NOTE, TRAINING, net_digest
from dsfactory.stages.refine.affinity_net import SIDE, net_input
from dsfactory.stages.refine.affinity_run import _example, has_net, load_net
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.verify import verify_path
from tests.command import command, tree
from tests.stages.refine.scenes import draw_scene
from tests.stages.refine.test_stage import drawn as drawn_record

NET = {"affinity": "net", "affinity_steps": 3, "affinity_samples": 4}
# A random model's pictures hold no object: seeds come from what little its maps differ.
LOOSE = {"crf_iterations": 0, "min_box": 0}


def flags(model, **refine):
    small = {"model": str(model), "width": 64, "height": 64, "steps": 2}
    return {"classes": "dog,bird", "num": 3, "shard_size": 4, "generate": small, "refine": refine}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("affinity") / "drawn"
    generate_job(folder, None, flags(tiny_model), Silent())
    return folder


@pytest.fixture
def run(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "run")
    return tmp_path / "run"


def refine(run, redo=False, **changes):
    return refine_job(run, None, {"refine": {**LOOSE, **changes}}, Silent(), redo)


def test_network_is_trained_once_and_names_the_masks(run):
    assert refine(run, **NET).exit_code == 0
    folder = run / "refine"
    state = json.loads((folder / "stage.json").read_text())
    assert state["identity"]["affinity_net"] == net_digest(folder / FILE)
    assert not (folder / TRAINING).exists()
    before = tree(run)
    assert refine(run, **NET).stages[0].made == 0
    assert tree(run) == before
    assert not verify_path(run, Silent()).faults


def test_drawing_and_refining_in_one_go_gives_the_same_bytes(run, tiny_model, tmp_path):
    refine(run, **NET)
    whole = generate_job(tmp_path / "whole", None, flags(tiny_model, **NET, **LOOSE), Silent(), refine=True)
    assert [stage.stage for stage in whole.stages] == ["prompts", "generate", "refine"]
    assert tree(tmp_path / "whole") == tree(run)


def test_killed_training_ends_with_the_same_network(run, drawn, tmp_path, monkeypatch):
    shutil.copytree(drawn, tmp_path / "other")
    refine(tmp_path / "other", **NET)
    monkeypatch.setattr("dsfactory.stages.refine.affinity_train.SAVE_EVERY", 1)

    class Killed(Silent):
        def advance(self, stage=None, samples=1):
            if (run / "refine" / TRAINING).exists():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine_job(run, None, {"refine": {**LOOSE, **NET}}, Killed())
    assert (run / "refine" / TRAINING).exists()
    assert not (run / "refine" / FILE).exists()
    refine(run, **NET)
    assert tree(run) == tree(tmp_path / "other")


def test_redo_without_a_network_removes_it(run):
    refine(run, **NET)
    with pytest.raises(UserError, match="affinity"):
        refine(run, affinity="self")
    assert (run / "refine" / FILE).exists()
    refine(run, redo=True, affinity="self")
    assert not (run / "refine" / FILE).exists()
    assert not (run / "refine" / NOTE).exists()
    refine(run, redo=True, **NET)
    assert (run / "refine" / FILE).exists()


def test_other_settings_want_another_network(run):
    refine(run, **NET)
    with pytest.raises(UserError, match=r"affinity_steps: 3 → 4.*--redo"):
        refine(run, **{**NET, "affinity_steps": 4})
    before = net_digest(run / "refine" / FILE)
    refine(run, redo=True, **{**NET, "affinity_steps": 4})
    assert net_digest(run / "refine" / FILE) != before


@pytest.mark.parametrize("later", [{"min_claim": 0.0}, {"certainty": 0.5}, {"max_hole": 0.0}])
def test_settings_that_come_after_the_network_keep_it(run, later):
    refine(run, **NET)
    assert has_net(Run.open(run), RefineConfig(**LOOSE, **NET, **later))
    assert not has_net(Run.open(run), RefineConfig(**LOOSE, **NET, **later, sharpness=20.0))


def test_grown_run_goes_on_with_its_network(run):
    refine(run, **NET)
    network = (run / "refine" / FILE).read_bytes()
    generate_job(run, None, {}, Silent(), append=2)
    assert refine(run, **NET).stages[0].samples == 10
    assert (run / "refine" / FILE).read_bytes() == network


def test_first_samples_have_to_be_drawn(run):
    for path in (run / "generate").glob("00000.*"):
        path.unlink()
    with pytest.raises(UserError, match="finish 'dsfactory generate' first"):
        refine(run, **NET)
    assert not (run / "refine" / FILE).exists()


def test_lost_or_damaged_network_is_named(run):
    refine(run, **NET)
    path = run / "refine" / FILE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="--redo"):
        load_net(path)
    with pytest.raises(UserError, match=r"affinity_net.*--redo"):
        refine(run, **NET)
    path.unlink()
    with pytest.raises(UserError, match=r"affinity_net.*--redo"):
        refine(run, **NET)
    assert Run.open(run).finished("refine")


@pytest.mark.parametrize("size", [(256, 160), (384, 384)])
def test_training_keeps_pictures_at_the_networks_size(size):
    """All are in memory at once."""
    scene = draw_scene(1, size=size)
    example = _example(drawn_record(0, ("dog",), scene), RefineConfig())
    assert max(example.image.shape) == SIDE
    assert torch.equal(net_input(example.image), net_input(scene.image))


def test_unknown_affinity_is_refused(run):
    done = command("refine", run.name, "--affinity", "magic", cwd=run.parent)
    assert done.returncode == 2
    assert "refine.affinity" in done.stderr
    assert not (run / "refine").exists()
