import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dsfactory.errors import UserError
from dsfactory.models.devices import choose_device, choose_dtype
from dsfactory.models.loading import (
    SCHEDULERS,
    load_pipeline,
    load_text_embedder,
    use_xformers,
)
from dsfactory.models.locate import locate_model

KINDS = {
    "sd": "StableDiffusionPipeline",
    "sd2": "StableDiffusionPipeline",
    "pocket": "StableDiffusionPipeline",
    "lcm": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
}


@pytest.mark.parametrize(("family", "kind"), KINDS.items())
def test_every_family_loads_as_what_it_is(load, family, kind):
    pipeline = load(family)
    assert type(pipeline).__name__ == kind
    assert pipeline.unet.dtype == pipeline.vae.dtype == pipeline.text_encoder.dtype == torch.float32
    assert not pipeline.unet.training and not pipeline.text_encoder.training
    assert getattr(pipeline, "safety_checker", None) is None
    assert getattr(pipeline, "watermark", None) is None


def test_half_precision_weights_run_in_single_precision_on_a_cpu(copy):
    for path in copy.rglob("*.safetensors"):
        save_file({name: weight.half() for name, weight in load_file(path).items()}, path, {"format": "pt"})
    pipeline = load_pipeline(str(copy), "cpu")
    assert {weight.dtype for weight in pipeline.unet.parameters()} == {torch.float32}
    assert {weight.dtype for weight in load_pipeline(str(copy), "cpu", "bf16").unet.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_sampling_method_draws(model_folder, scheduler):
    pipeline = load_pipeline(str(model_folder("sd2")), "cpu", scheduler=scheduler)
    assert type(pipeline.scheduler).__name__ == SCHEDULERS[scheduler][0]
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    images = pipeline("a dog", num_inference_steps=4, output_type="np").images
    assert np.isfinite(images).all() and images.std() > 0.01


def test_damaged_weights_are_one_line(copy):
    (copy / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(
        UserError, match=r"unet/diffusion_pytorch_model.safetensors is damaged: delete /.*, then"
    ) as caught:
        load_pipeline(str(copy), "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("load", "part"),
    [(load_pipeline, "diffusers.StableDiffusionPipeline"), (load_text_embedder, "transformers.CLIPTextModel")],
)
def test_a_model_that_is_too_large_for_the_device_is_one_line(model_folder, monkeypatch, load, part):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(f"{part}.to", full)
    with pytest.raises(
        UserError, match=r"^model sd does not fit into the memory of cpu: use a smaller --model"
    ) as caught:
        load(str(model_folder("sd")), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["unet/config.json", "vae/diffusion_pytorch_model.safetensors"])
def test_a_file_that_was_cut_is_named(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-100])
    with pytest.raises(UserError, match=f"{name} is damaged: delete /.*{name}, then run the command again"):
        load_pipeline(str(copy), "cpu")


def test_a_pointer_in_the_place_of_weights_is_told(copy):
    (copy / "unet/diffusion_pytorch_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid")
    with pytest.raises(UserError, match=r"is a pointer of Git LFS, not the weights: run 'git lfs pull'"):
        load_pipeline(str(copy), "cpu")


@pytest.mark.parametrize("variant", ["fp16", "bf16"])
@pytest.mark.parametrize("plain", [(), ("vae",), ("text_encoder",)])
def test_variants_load_as_diffusers_loads_them(copy, variant, plain):
    expected = load_text_embedder(str(copy), device="cpu")(["a dog"])
    for path in copy.rglob("*.safetensors"):
        if path.parent.name not in plain:
            path.rename(path.with_name(path.name.replace(".safetensors", f".{variant}.safetensors")))
    model = locate_model(str(copy))
    assert model.layout.variant == variant
    assert load_pipeline(model, "cpu")("a dog", num_inference_steps=1).images[0].size == (64, 64)
    np.testing.assert_array_equal(load_text_embedder(model, device="cpu")(["a dog"]), expected)


def test_a_pickle_is_refused_and_never_opened(copy):
    weights = copy / "unet/diffusion_pytorch_model.safetensors"
    weights.with_suffix(".bin").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    weights.unlink()
    with pytest.raises(UserError, match="pickled weights can run any code"):
        load_pipeline(str(copy), "cpu")


def test_code_in_a_model_folder_is_never_run(copy, tmp_path):
    trap = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).write_text('yes')\n"
    for part in ("unet", "text_encoder", "."):
        (copy / part / "modeling.py").write_text(trap)
        (copy / part / "pipeline.py").write_text(trap)
    load_pipeline(str(copy), "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
def test_loading_says_nothing(model_folder):
    code = f"from dsfactory.models.loading import load_pipeline\nload_pipeline({str(model_folder('pocket'))!r}, 'cpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize("device", ["cuda:99", "mps", "gpu", ""])
def test_a_device_that_is_not_there(device):
    with pytest.raises(UserError, match=f"--device {device} cannot be used on this machine"):
        choose_device(device)


def test_number_formats():
    cpu = torch.device("cpu")
    assert choose_device("cpu") == cpu
    assert choose_dtype("auto", cpu) == torch.float32
    assert choose_dtype("bf16", cpu) == torch.bfloat16


def test_xformers_needs_cuda(load):
    with pytest.raises(UserError, match=r"generate\.xformers needs a CUDA device"):
        use_xformers(load("sd"))


@pytest.mark.parametrize("family", KINDS)
def test_the_text_embedder_places_texts_on_the_unit_sphere(model_folder, family):
    embed = load_text_embedder(str(model_folder(family)), device="cpu")
    texts = ["a dog", "a bird on the traffic light", "a dog", "a " * 200]
    found = embed(texts)
    assert found.dtype == np.float32 and found.shape == (4, 32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)
    assert found[0] @ found[1] < 0.999
    assert embed([]).shape == (0, 32)


def test_the_text_embedder_works_in_batches(model_folder):
    embed = load_text_embedder(str(model_folder("sd")), device="cpu")
    texts = [f"a dog number {number}" for number in range(150)]
    found = embed(texts)
    np.testing.assert_allclose(found[[3, 70, 149]], embed([texts[3], texts[70], texts[149]]), atol=1e-5)


def test_the_text_embedder_needs_no_unet(copy):
    expected = load_text_embedder(str(copy), device="cpu")(["a dog"])
    (copy / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"damaged")
    np.testing.assert_array_equal(load_text_embedder(str(copy), device="cpu")(["a dog"]), expected)
