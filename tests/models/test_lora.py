"""LoRAs of every layout change exactly the weights that they name; those of another model are refused in one line."""

import pytest
import torch
from safetensors.torch import save_file

from dsfactory.errors import UserError
from dsfactory.models.adapters import Adapter, find_loras, lora_triggers, split_lora
from dsfactory.models.loading import load_pipeline
from dsfactory.models.locate import find_model
from dsfactory.models.lora import _from_sgm, base_shapes, changes
from tests.command import call_tiny, tree
from tests.models.hub import serve
from tests.models.test_hub import cache  # noqa: F401

QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q"
OUT = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0"
RESNET = "mid_block.resnets.0.conv1"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"
MODULES = {QUERY: "unet", OUT: "unet", RESNET: "unet", TEXT: "text_encoder"}
RANK, ALPHA = 2, 4.0


def halves(model):
    """Random ``(down, up)`` by module."""
    torch.manual_seed(1)
    found = {}
    for module, part in MODULES.items():
        shape = base_shapes(model)[part][module.removeprefix("text_model.").replace(".", "_")]
        up = torch.randn(shape[0], RANK, *[1] * (len(shape) - 2))
        found[module] = (torch.randn(RANK, *shape[1:]), up)
    return found


def written(folder, layout, pairs, **metadata):
    """A file of a LoRA in one of the layouts that there are."""
    tensors = {}
    for module, (down, up) in pairs.items():
        part = MODULES[module]
        kohya = f"{'lora_unet' if part == 'unet' else 'lora_te'}_{module.replace('.', '_')}"
        processor = module.replace(".to_", ".processor.to_").replace("to_out.0", "to_out") + "_lora"
        old = processor if ".attn" in module else f"{module}.{'lora' if part == 'unet' else 'lora_linear_layer'}"
        names = {
            "kohya": (f"{kohya}.lora_down.weight", f"{kohya}.lora_up.weight"),
            "diffusers": (f"{part}.{old}.down.weight", f"{part}.{old}.up.weight"),
            "peft": (f"{part}.{module}.lora_A.weight", f"{part}.{module}.lora_B.weight"),
        }[layout]
        scale = 1 if layout == "kohya" else ALPHA / RANK
        tensors |= {names[0]: down, names[1]: up * scale}
        if layout == "kohya":
            tensors[f"{kohya}.alpha"] = torch.tensor(ALPHA)
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, folder / f"{layout}.safetensors", metadata
    )
    return folder / f"{layout}.safetensors"


def test_every_layout_is_merged_to_the_same_weights(model_folder, tmp_path):
    model = find_model(str(model_folder("sd")))
    pairs = halves(model)
    bare = load_pipeline(model, "cpu")
    for layout in ("kohya", "diffusers", "peft"):
        pipeline = load_pipeline(model, "cpu", loras=[Adapter("x", written(tmp_path, layout, pairs), 0.5)])
        for part in ("unet", "text_encoder"):
            merged = dict(getattr(pipeline, part).named_modules())
            for name, before in getattr(bare, part).named_parameters():
                module = next(
                    (key for key in pairs if name.removesuffix(".weight").endswith(key.removeprefix("text_model."))), ""
                )
                weight = merged[name.rpartition(".")[0]].get_parameter(name.rpartition(".")[2])
                if module and name.endswith(".weight"):
                    down, up = pairs[module]
                    delta = 0.5 * ALPHA / RANK * (up.flatten(1) @ down.flatten(1)).reshape(before.shape)
                    torch.testing.assert_close(weight, before + delta, rtol=1e-5, atol=1e-6)
                else:
                    assert torch.equal(weight, before), name


def test_stabilitys_names_of_sdxl_are_those_that_diffusers_gives_them():
    from diffusers.loaders.lora_conversion_utils import (
        _convert_non_diffusers_lora_to_diffusers,
        _maybe_map_sgm_blocks_to_diffusers,
    )

    attention = ("proj_in", "transformer_blocks_1_attn2_to_k", "transformer_blocks_0_ff_net_0_proj")
    resnet = ("in_layers_2", "emb_layers_1", "out_layers_3")
    names = [f"{side}_blocks_{block}_1_{rest}" for side, blocks in (("input", (4, 5, 7, 8)), ("output", range(6)))
             for block in blocks for rest in attention]  # fmt: skip
    names += [f"input_blocks_{block}_0_{rest}" for block in (1, 2, 4, 5, 7, 8) for rest in resnet]
    names += [f"middle_block_{place}_{rest}" for place in (0, 2) for rest in resnet]
    names += [f"middle_block_1_{rest}" for rest in attention]
    names += ["input_blocks_3_0_op", "output_blocks_2_2_conv", "input_blocks_0_0", "out_2", "label_emb_0_2"]

    class Config:
        layers_per_block = 2

    for name in names:
        key = f"lora_unet_{name}"
        pair = {f"{key}.lora_down.weight": torch.zeros(2, 4), f"{key}.lora_up.weight": torch.zeros(4, 2)}
        if not name.endswith(("op", "conv", "_0", "_2")) or "layers" in name:
            pair = _maybe_map_sgm_blocks_to_diffusers(pair, Config)
        theirs = next(iter(_convert_non_diffusers_lora_to_diffusers(pair)[0]))
        theirs = theirs.removeprefix("unet.").replace(".processor", "").replace("_lora.down.weight", "")
        theirs = theirs.replace(".lora.down.weight", "").replace(".", "_")
        if "sampler" not in _from_sgm(name, 2):  # diffusers leaves those where they are
            assert _from_sgm(name, 2) == theirs.replace("ff_net_0_proj", "ff_net_0_proj"), name


@pytest.mark.parametrize(
    ("tensors", "line"),
    [
        ({"lora_unet_mid_block_x.lora_down.weight": (2, 4)}, "is made for another model than .* has no lora_unet_mid"),
        ({f"unet.{QUERY}.lora_A.weight": (2, 7), f"unet.{QUERY}.lora_B.weight": (16, 2)}, r"has the shape \[2, 7\]"),
        ({f"unet.{QUERY}.lora_A.weight": (2, 16)}, "a half is missing"),
        ({f"unet.{QUERY}.hada_w1_a": (2, 16)}, "is no LoRA that is read here: it holds unet.down"),
        ({}, "it holds no tensors"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(model_folder, tmp_path, tensors, line):
    model = find_model(str(model_folder("sd")))
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=line):
        changes(Adapter("x.safetensors", tmp_path / "x.safetensors"), model)


def test_names_and_weights(tmp_path):
    assert split_lora("a/b.safetensors") == ("a/b.safetensors", 1.0)
    assert split_lora("https://huggingface.co/a/b") == ("https://huggingface.co/a/b", 1.0)
    assert split_lora("a/b:-0.5") == ("a/b", -0.5)
    (tmp_path / "x.pt").write_bytes(b"x")
    for text, line in ((str(tmp_path / "x.pt"), "only .safetensors are read"), ("./none.safetensors", "is not there")):
        with pytest.raises(UserError, match=line):
            find_loras((text,))
    assert find_loras(("./none.safetensors:0",)) == ()  # not even looked for


def test_a_lora_of_a_hub(model_folder, tmp_path, cache, monkeypatch):  # noqa: F811
    model = find_model(str(model_folder("sd")))
    (tmp_path / "repo").mkdir()
    written(tmp_path / "repo", "peft", halves(model)).rename(tmp_path / "repo" / "pytorch_lora_weights.safetensors")
    with serve({"owner/style": tmp_path / "repo"}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        (lora,) = find_loras(("owner/style:0.7",))
        assert changes(lora, model) and lora.weight == 0.7
        with pytest.raises(UserError, match=r"has no file other\.safetensors"):
            find_loras((f"{hub.url}/owner/style/blob/main/other.safetensors",))


def test_the_command(tiny_model, tmp_path):
    model = find_model(str(tiny_model))
    file = written(tmp_path, "kohya", halves(model), **{"modelspec.trigger_phrase": "sks  style"})
    assert lora_triggers((str(file),)) == ("sks style",)
    arguments = ("--num", "1", "--set", "prompts.pool=0")
    runs = {}
    for name, loras in {"bare": (), "zero": ("kohya.safetensors:0",), "one": ("kohya.safetensors",)}.items():
        flags = [word for lora in loras for word in ("--lora", lora)]
        done = call_tiny(tiny_model, "generate", "--out", name, *arguments, *flags, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        runs[name] = tree(tmp_path / name)
    same = {name for name, data in runs["bare"].items() if runs["zero"].get(name) == data}
    assert same == runs["bare"].keys() - {"config.yaml"}
    assert runs["one"]["generate/00000.tar"] != runs["bare"]["generate/00000.tar"]
    assert b'"lora"' in runs["one"]["generate/stage.json"] and b"sks style" in runs["one"]["prompts/stage.json"]
    shown = call_tiny(tiny_model, "generate", "--out", "bad", *arguments, "--lora", "kohya.safetensors:x", cwd=tmp_path)
    assert shown.returncode == 2 and "kohya.safetensors:x is not there" in shown.stderr
    changed = call_tiny(tiny_model, "generate", "--out", "bare", *arguments, "--lora", str(file), cwd=tmp_path)
    assert changed.returncode == 2 and "triggers" in changed.stderr
    assert not (tmp_path / "bad").exists()
