"""Checkpoints in a single file: the same images as the folder they were made of."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dsfactory.errors import UserError
from dsfactory.models.loading import load_pipeline
from dsfactory.models.locate import find_model, locate_model
from dsfactory.models.presets import PRESETS
from tests.models.checkpoint import write_checkpoint
from tests.models.hub import COMMIT, serve
from tests.models.test_hub import NOWHERE, cache  # noqa: F401

BASE = PRESETS["sd15"].source


@pytest.fixture
def checkpoint(model_folder, tmp_path):
    write_checkpoint(model_folder("sd"), tmp_path / "dreamer.safetensors", blocks=2)
    return tmp_path / "dreamer.safetensors"


@pytest.fixture
def hub(model_folder, checkpoint, cache, monkeypatch):  # noqa: F811
    with serve({BASE: model_folder("sd"), "owner/single": checkpoint.parent}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(cache))
        yield hub


def draw(model):
    pipeline = load_pipeline(model, "cpu", scheduler="ddim")
    generator = torch.Generator().manual_seed(0)
    return np.asarray(pipeline("a dog", num_inference_steps=2, generator=generator, output_type="np").images[0])


def test_a_file_draws_what_its_folder_draws(hub, checkpoint, model_folder, monkeypatch):
    assert find_model(str(checkpoint)) is None
    model = locate_model(str(checkpoint))
    np.testing.assert_allclose(draw(model), draw(str(model_folder("sd"))), atol=1e-5)
    assert not [name for name in hub.fetched if name.endswith(".safetensors")], "its own weights are all it needs"
    assert model.name == "dreamer" and model.defaults == PRESETS["sd15"].defaults
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    copy = checkpoint.rename(checkpoint.with_name("renamed.safetensors"))
    again = locate_model(str(copy))
    assert again.path == model.path and again.identity()["content"] == model.identity()["content"]


def test_a_file_of_a_hub(hub):
    name = "https://huggingface.co/owner/single/blob/main/dreamer.safetensors"
    model = locate_model(name)
    assert model.identity() == {"model": "owner/single", "commit": COMMIT, "file": "dreamer.safetensors"}
    hub.asked.clear()
    assert locate_model(name).path == model.path and hub.asked == []
    with pytest.raises(UserError, match=r"give the address of a single file .* --model https://.*dreamer\.safetensors"):
        locate_model("owner/single")


def test_without_a_network_the_line_says_what_is_missing(checkpoint, cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    with pytest.raises(UserError, match=f"needs the configuration and tokenizer of {BASE} once: .* cannot be reached"):
        locate_model(str(checkpoint))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: {"lora_unet_down_blocks_0.lora_up.weight": torch.zeros(1)}, "is a LoRA, which changes a model"),
        (lambda w: {"weight": torch.zeros(1)}, "is no Stable Diffusion 1 or XL checkpoint"),
        (lambda w: {k: v for k, v in w.items() if "first_stage" not in k}, "has no VAE"),
        (lambda w: {k: v for k, v in w.items() if "cond_stage" not in k}, "has no text encoder that is known"),
        (
            lambda w: w | {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(16, 9, 3, 3)},
            "is made for inpainting",
        ),
    ],
)
def test_other_files_are_told_by_what_they_hold(checkpoint, cache, change, says):  # noqa: F811
    save_file(change(load_file(checkpoint)), checkpoint)
    with pytest.raises(UserError, match=says):
        locate_model(str(checkpoint))


def test_files_that_are_no_checkpoint_are_refused_by_name_or_damage(checkpoint, cache):  # noqa: F811
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"dreamer.safetensors is damaged: delete /"):
        locate_model(str(checkpoint))
    for name, says in (("a.ckpt", "is pickled, which can run any code"), ("a.txt", r"give a \.safetensors, or the")):
        (checkpoint.parent / name).write_bytes(b"x")
        with pytest.raises(UserError, match=says):
            locate_model(str(checkpoint.parent / name))
