"""A ControlNet that follows layouts: untrained it changes nothing, and a wrong one is refused."""

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.models.controlnet import load_controlnet, with_controlnet
from dsfactory.stages.generate.layouts.colours import find_colours, painted
from dsfactory.stages.generate.sampler import Follower
from tests.command import call_tiny
from tests.stages.generate.test_layouts import CLASSES, images_of, requests, sampler, two_dogs

MAP = "background:0,0,0::\ndog:128,0,0::\nbird:0,128,0::\n"


def controlnet_of(pipeline, path):
    """An untrained ControlNet of a pipeline's UNet, in a folder with colours."""
    torch.manual_seed(0)
    widths = (8, 8, 8, 8)[: 1 + int(np.log2(pipeline.vae_scale_factor))]
    ControlNetModel.from_unet(pipeline.unet, conditioning_embedding_out_channels=widths).save_pretrained(path)
    (path / "labelmap.txt").write_text(MAP)
    return path


@pytest.mark.parametrize("family", ["sd", "pocket", "sdxl"])
def test_an_untrained_controlnet_changes_nothing_to_the_last_bit(load, family, tmp_path):
    pipeline = load(family)
    folder = controlnet_of(pipeline, tmp_path)
    network = load_controlnet(folder, pipeline.unet)
    follower = Follower(with_controlnet(pipeline, network), find_colours(CLASSES, folder, None))
    plain = list(sampler(pipeline).draw(requests(target=False)))
    drawn = list(sampler(pipeline, control=follower).draw(requests()))
    np.testing.assert_array_equal(images_of(plain), images_of(drawn))
    assert [one.evidence.to_bytes() for one in plain] == [other.evidence.to_bytes() for other in drawn]
    with torch.no_grad():
        network.controlnet_mid_block.bias += 1
    moved = list(sampler(pipeline, control=follower).draw(requests()))
    assert (images_of(plain) != images_of(moved)).any()


def test_a_layout_is_painted_in_the_colours_of_its_classes(tmp_path):
    (tmp_path / "labelmap.txt").write_text(MAP)
    picture = painted(two_dogs(), find_colours(CLASSES, tmp_path, None))
    assert picture[20, 4].tolist() == [128, 0, 0] and picture[20, 50].tolist() == [0, 128, 0]
    assert picture[0, 0].tolist() == picture[60, 0].tolist() == [0, 0, 0]
    ade = find_colours((ClassSpec(name="dog", synonyms=("animal",)), ClassSpec(name="car")), tmp_path, "ade20k")
    assert ade[:3].tolist() == [[0, 0, 0], [255, 0, 122], [0, 102, 200]]
    with pytest.raises(UserError, match="has no colour for 'cat'"):
        find_colours((ClassSpec(name="cat"),), tmp_path, None)
    with pytest.raises(UserError, match="write them into a file"):
        find_colours(CLASSES, tmp_path / "none", None)


def test_a_controlnet_of_another_model_is_refused(load, tmp_path):
    folder = controlnet_of(load("sd"), tmp_path)
    with pytest.raises(UserError, match="is for another model: its"):
        load_controlnet(folder, load("sdxl").unet)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"cannot be loaded as a ControlNet|is for another model"):
        load_controlnet(folder, load("sd").unet)


@pytest.mark.long
def test_the_layout_is_the_label_where_attention_agrees(load, tiny_model, tmp_path):
    controlnet_of(load("sd"), tmp_path / "net")
    flags = ["--layouts", "random", "--set", "refine.min_layout_iou=0", "--set", "refine.min_box=0"]
    trained = ["--control", "controlnet", "--control-model", "net", "--label", "layout"]
    done = call_tiny(tiny_model, "run", *flags, *trained, "--out", "a", "--format", "png", cwd=tmp_path)
    assert done.returncode in (0, 2), done.stderr  # an untrained model draws little that agrees
    run = Run.open(tmp_path / "a")
    rows = [row for spec in run.shards() for row in run.reader("refine", spec).rows]
    assert len(rows) == 6 and all(row["void"] > 0 for row in rows)
    refused = call_tiny(tiny_model, "run", "--layouts", "random", "--label", "layout", "--out", "b", cwd=tmp_path)
    assert refused.returncode == 2 and "is for images that a ControlNet drew" in refused.stderr
    refused = call_tiny(tiny_model, "run", "--layouts", "random", "--control", "controlnet", "--out", "b", cwd=tmp_path)
    assert refused.returncode == 2 and "go together" in refused.stderr and not (tmp_path / "b").exists()
