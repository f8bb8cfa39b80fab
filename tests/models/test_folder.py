import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from dsfactory.errors import UserError
from dsfactory.models import folder as folders
from dsfactory.models.folder import default_size, folder_digest, read_folder, read_layout, require_complete

UNET = "unet/diffusion_pytorch_model"


@pytest.mark.parametrize(("kind", "family"), [("sd", "sd"), ("sd2", "sd"), ("pocket", "sd"), ("sdxl", "sdxl")])
def test_complete_folders(model_folder, kind, family):
    layout = read_folder(model_folder(kind), kind)
    assert (layout.family, layout.variant, layout.missing, layout.pickled) == (family, None, (), ())
    assert f"{UNET}.safetensors" in layout.files
    assert all((model_folder(kind) / name).is_file() for name in layout.files)
    assert default_size(model_folder(kind)) == (64, 64)
    require_complete(layout, kind)


@pytest.mark.parametrize(
    "name",
    [f"{UNET}.safetensors", "vae/config.json", "text_encoder/model.safetensors", "scheduler/scheduler_config.json",
     "tokenizer/tokenizer.json"],
)  # fmt: skip
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    layout = read_folder(copy, "copy")
    assert layout.missing == (name,)
    with pytest.raises(UserError, match=f"model copy is incomplete: {name} is missing"):
        require_complete(layout, "copy")


@pytest.mark.parametrize("suffix", [".bin", ".ckpt", ".pt"])
def test_pickled_weights_are_refused_and_said_why(copy, suffix):
    (copy / f"{UNET}.safetensors").rename(copy / f"{UNET}{suffix}")
    layout = read_folder(copy, "copy")
    with pytest.raises(UserError, match=f"diffusion_pytorch_model{suffix} but no safetensors: pickled weights can run"):
        require_complete(layout, "copy")


def test_a_pickle_beside_safetensors_is_left_alone(copy):
    (copy / f"{UNET}.bin").write_bytes(b"\x80\x04")
    layout = read_folder(copy, "copy")
    assert layout.missing == () and f"{UNET}.bin" not in layout.files
    require_complete(layout, "copy")


def test_half_precision_files_are_preferred_when_all_are_there(copy):
    weights = sorted(copy.rglob("*.safetensors"))
    for path in weights[:-1]:
        shutil.copy(path, path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    assert read_folder(copy, "copy").variant is None
    shutil.copy(weights[-1], weights[-1].with_name(weights[-1].name.replace(".safetensors", ".fp16.safetensors")))
    layout = read_folder(copy, "copy")
    assert layout.variant == "fp16" and f"{UNET}.fp16.safetensors" in layout.files


@pytest.mark.parametrize(
    ("index", "shard"),
    [
        ("{unet}.safetensors.index.json", "{unet}-{n:05d}-of-00002.safetensors"),
        ("{unet}.safetensors.index.fp16.json", "{unet}.fp16-{n:05d}-of-00002.safetensors"),
        ("{unet}.safetensors.index.fp16.json", "{unet}-{n:05d}-of-00002.fp16.safetensors"),
    ],
)
def test_weights_in_several_files(copy, index, shard):
    variant = ".fp16" if "fp16" in index else ""
    for path in sorted(copy.rglob("*.safetensors")):
        path.rename(path.with_name(path.name.replace(".safetensors", f"{variant}.safetensors")))
    (copy / f"{UNET}{variant}.safetensors").unlink()
    (copy / index.format(unet=UNET)).write_text("{}")
    (copy / shard.format(unet=UNET, n=1)).write_bytes(b"")
    assert read_folder(copy, "copy").missing == (shard.format(unet=UNET, n=2),)
    (copy / shard.format(unet=UNET, n=2)).write_bytes(b"")
    assert read_folder(copy, "copy").missing == ()


def test_a_tokenizer_of_two_files(copy):
    (copy / "tokenizer/tokenizer.json").unlink()
    (copy / "tokenizer/vocab.json").write_text("{}")
    assert read_folder(copy, "copy").missing == ("tokenizer/merges.txt",)
    (copy / "tokenizer/merges.txt").write_text("")
    assert read_folder(copy, "copy").missing == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"_class_name": "PixArtAlphaPipeline"},
            "is a PixArtAlphaPipeline, which is not supported: use Stable",
        ),
        ({"_class_name": None}, "is a None, which is not supported"),
        ({"unet": ["diffusers", "SD3Transformer2DModel"]}, "has a SD3Transformer2DModel as UNet"),
        ({"unet": ["my_unet", "MyUNet"]}, "needs code of its own for its unet .my_unet., which is never run"),
        ({"text_encoder": [None, None]}, "has no text_encoder"),
    ],
)
def test_pipelines_that_cannot_be_used_are_refused(copy, change, says):
    index = json.loads((copy / "model_index.json").read_text())
    with pytest.raises(UserError, match=says):
        read_layout(index | change, [], "copy")


def test_folders_that_are_no_pipeline(tmp_path):
    with pytest.raises(UserError, match=r"is not a diffusers pipeline: it has no model_index\.json"):
        read_folder(tmp_path, "folder")
    (tmp_path / "dreamshaper.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"give --model .*/dreamshaper.safetensors, a single file"):
        read_folder(tmp_path, "folder")
    for text in ("{", "[]"):
        (tmp_path / "model_index.json").write_text(text)
        with pytest.raises(UserError, match=r"model_index\.json"):
            read_folder(tmp_path, "folder")


def change_weight(path, name, place):
    weights = load_file(path)
    weights[name].view(-1)[place] += 1
    save_file(weights, path, {"format": "pt"})


@pytest.mark.parametrize("whole", [2**30, 0], ids=["read in full", "read in samples"])
def test_the_digest_tells_models_apart(copy, model_folder, monkeypatch, whole):
    monkeypatch.setattr(folders, "_WHOLE", whole)
    layout = read_folder(copy, "copy")
    digest = folder_digest(copy, layout)
    assert digest == folder_digest(model_folder("sd"), read_folder(model_folder("sd"), "sd"))
    assert digest != folder_digest(model_folder("sd2"), read_folder(model_folder("sd2"), "sd2"))
    (copy / "README.md").write_text("not part of the model")
    assert folder_digest(copy, layout) == digest
    names = list(load_file(copy / f"{UNET}.safetensors"))
    change_weight(copy / f"{UNET}.safetensors", names[len(names) // 2], 0)
    changed = folder_digest(copy, layout)
    assert changed != digest
    config = json.loads((copy / "scheduler/scheduler_config.json").read_text())
    (copy / "scheduler/scheduler_config.json").write_text(json.dumps(config | {"prediction_type": "sample"}))
    assert folder_digest(copy, layout) != changed


def test_default_size_of_a_real_configuration(tmp_path):
    for part, content in (
        ("unet", {"sample_size": 96}),
        ("vae", {"block_out_channels": [128, 256, 512, 512]}),
    ):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(content))
    assert default_size(tmp_path) == (768, 768)
    (tmp_path / "unet/config.json").write_text(json.dumps({"sample_size": [64, 96]}))
    assert default_size(tmp_path) == (768, 512)
