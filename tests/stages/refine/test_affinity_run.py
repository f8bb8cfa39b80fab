"""The affinity network in a run: trained once, before the masks, and named by them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from dsfactory.core.chain import offers, serving
from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.runner.progress import Silent
from dsfactory.stages import STAGES
from dsfactory.stages.refine.affinity_file import FILE, NOTE, TRAINING, net_digest
from dsfactory.stages.refine.affinity_net import SIDE, net_input
from dsfactory.stages.refine.affinity_run import _example, has_net, load_net
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.stage import RefineStage
from dsfactory.verify import verify_path
from tests.command import command, tree
from tests.making import GENERATE, RUN, make
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
    make(GENERATE, folder, flags(tiny_model))
    return folder


@pytest.fixture(scope="module")
def masked(drawn, tmp_path_factory):
    """The run with its network and its masks. Not to be changed."""
    folder = Path(shutil.copytree(drawn, tmp_path_factory.mktemp("affinity") / "masked"))
    assert refine(folder, **NET).exit_code == 0
    return folder


@pytest.fixture
def unmasked(drawn, tmp_path):
    return Path(shutil.copytree(drawn, tmp_path / "run"))


@pytest.fixture
def run(masked, tmp_path):
    return Path(shutil.copytree(masked, tmp_path / "run"))


def refine(run, redo=False, **changes):
    return make("refine", run, {"refine": {**LOOSE, **changes}}, redo=redo)


def test_network_is_trained_once_and_names_the_masks(run):
    folder = run / "refine"
    state = json.loads((folder / "stage.json").read_text())
    assert state["identity"]["affinity_net"] == net_digest(folder / FILE)
    assert not (folder / TRAINING).exists()
    before = tree(run)
    assert refine(run, **NET).stages[0].made == 0
    assert tree(run) == before
    assert not verify_path(run, Silent()).faults


def test_drawing_and_refining_in_one_go_gives_the_same_bytes(masked, tiny_model, tmp_path):
    whole = make(RUN, tmp_path / "whole", flags(tiny_model, **NET, **LOOSE))
    assert [stage.stage for stage in whole.stages] == ["prompts", "generate", "refine"]
    assert tree(tmp_path / "whole") == tree(masked)


def test_killed_training_ends_with_the_same_network(masked, unmasked, monkeypatch):
    monkeypatch.setattr("dsfactory.stages.refine.affinity_train.SAVE_EVERY", 1)

    class Killed(Silent):
        def advance(self, stage=None, samples=1):
            if (unmasked / "refine" / TRAINING).exists():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("refine", unmasked, {"refine": {**LOOSE, **NET}}, progress=Killed())
    assert (unmasked / "refine" / TRAINING).exists()
    assert not (unmasked / "refine" / FILE).exists()
    refine(unmasked, **NET)
    assert tree(unmasked) == tree(masked)


def test_redo_without_a_network_removes_it(run):
    with pytest.raises(UserError, match="affinity"):
        refine(run, affinity="self")
    assert (run / "refine" / FILE).exists()
    refine(run, redo=True, affinity="self")
    assert not (run / "refine" / FILE).exists()
    assert not (run / "refine" / NOTE).exists()
    refine(run, redo=True, **NET)
    assert (run / "refine" / FILE).exists()


def test_other_settings_want_another_network(run):
    with pytest.raises(UserError, match=r"affinity_steps: 3 → 4.*--redo"):
        refine(run, **{**NET, "affinity_steps": 4})
    before = net_digest(run / "refine" / FILE)
    refine(run, redo=True, **{**NET, "affinity_steps": 4})
    assert net_digest(run / "refine" / FILE) != before


@pytest.mark.parametrize("later", [{"min_claim": 0.0}, {"certainty": 0.5}, {"max_hole": 0.0}])
def test_settings_that_come_after_the_network_keep_it(masked, later):
    found = Run.open(masked)
    drawn = offers(found, STAGES.begun(found, before=RefineStage))
    settings = {**LOOSE, **NET, **later, "recipe": "family"}  # what a new run settles on
    assert has_net(found, RefineConfig(**settings), serving(RefineStage, drawn))
    assert not has_net(found, RefineConfig(**settings, sharpness=20.0), serving(RefineStage, drawn))


def test_grown_run_goes_on_with_its_network(run):
    network = (run / "refine" / FILE).read_bytes()
    make(GENERATE, run, append=2)
    assert refine(run, **NET).stages[0].samples == 10
    assert (run / "refine" / FILE).read_bytes() == network


def test_first_samples_have_to_be_drawn(unmasked):
    for path in (unmasked / "generate").glob("00000.*"):
        path.unlink()
    with pytest.raises(UserError, match="finish 'dsfactory generate' first"):
        refine(unmasked, **NET)
    assert not (unmasked / "refine" / FILE).exists()


def test_damaged_network_is_named_and_a_lost_one_trained_again(run, masked):
    path = run / "refine" / FILE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="--redo"):
        load_net(path)
    with pytest.raises(UserError, match=r"affinity_net.*--redo"):
        refine(run, **NET)
    assert Run.open(run).finished("refine")
    path.unlink()
    with pytest.raises(UserError, match="--redo"):
        load_net(path)
    assert refine(run, **NET).stages[0].made == 0
    assert tree(run) == tree(masked)


@pytest.mark.parametrize("size", [(256, 160), (384, 384)])
def test_training_keeps_pictures_at_the_networks_size(size):
    """All are in memory at once."""
    scene = draw_scene(1, size=size)
    example = _example(drawn_record(0, ("dog",), scene), RefineConfig())
    assert max(example.image.shape) == SIDE
    assert torch.equal(net_input(example.image), net_input(scene.image))


def test_unknown_affinity_is_refused(unmasked):
    done = command("refine", unmasked.name, "--affinity", "magic", cwd=unmasked.parent)
    assert done.returncode == 2
    assert "'--affinity': 'magic' is not one of 'net', 'self', 'none'" in done.stderr
    assert not (unmasked / "refine").exists()
