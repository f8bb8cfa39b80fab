"""A pipeline's weights under the names that single-file checkpoints of Stable Diffusion 1 have."""

import re
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

_RESNET = {"in_layers.0": "norm1", "in_layers.2": "conv1", "out_layers.0": "norm2", "out_layers.3": "conv2",
           "emb_layers.1": "time_emb_proj", "skip_connection": "conv_shortcut"}  # fmt: skip
_ENDS = {"time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
         "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out"}  # fmt: skip
_VAE = {"nin_shortcut": "conv_shortcut", "norm_out": "conv_norm_out", "mid.attn_1.": "mid_block.attentions.0."}
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def write_checkpoint(pipeline: Path, file: Path, blocks: int, layers: int = 1) -> None:
    """Write a checkpoint of a pipeline's folder.

    Args:
        pipeline: a Stable Diffusion 1 pipeline.
        file: where to.
        blocks: how many blocks its UNet has on the way down.
        layers: resnets per block there.
    """
    weights: dict[str, Any] = {}
    for name, weight in load_file(pipeline / "unet/diffusion_pytorch_model.safetensors").items():
        weights[f"model.diffusion_model.{_unet_name(name, blocks, layers)}"] = weight
    for name, weight in load_file(pipeline / "vae/diffusion_pytorch_model.safetensors").items():
        old = _vae_name(name)
        flat = ".attn_1." in old and weight.dim() == 2
        weights[f"first_stage_model.{old}"] = weight[:, :, None, None].contiguous() if flat else weight
    for name, weight in load_file(pipeline / "text_encoder/model.safetensors").items():
        plain = name.removeprefix("text_model.")
        weights[f"cond_stage_model.transformer.text_model.{plain}"] = weight
    save_file(weights, file, {"format": "pt"})


def _unet_name(name: str, blocks: int, layers: int) -> str:
    for old, new in _ENDS.items():
        if name.startswith(f"{new}."):
            return name.replace(new, old, 1)
    prefix, rest = _unet_place(name, blocks, layers)
    if ".0." in prefix or prefix.startswith(("middle_block.0", "middle_block.2")):
        for old, new in _RESNET.items():
            rest = re.sub(rf"^{re.escape(new)}\b", old, rest)
    return prefix + rest


def _unet_place(name: str, blocks: int, layers: int) -> tuple[str, str]:
    if match := re.fullmatch(r"down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name):
        block, layer = int(match[1]), int(match[3])
        return f"input_blocks.{(layers + 1) * block + layer + 1}.{int(match[2] == 'attentions')}.", match[4]
    if match := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.*)", name):
        return f"input_blocks.{(layers + 1) * (int(match[1]) + 1)}.0.op.", match[2]
    if match := re.fullmatch(r"up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name):
        block, layer = int(match[1]), int(match[3])
        return f"output_blocks.{(layers + 1) * block + layer}.{int(match[2] == 'attentions')}.", match[4]
    if match := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.(.*)", name):
        return f"output_blocks.{(layers + 1) * int(match[1]) + layers}.2.", match[2]
    if match := re.fullmatch(r"mid_block\.resnets\.(\d+)\.(.*)", name):
        return f"middle_block.{2 * int(match[1])}.", match[2]
    match = re.fullmatch(r"mid_block\.attentions\.0\.(.*)", name)
    assert match, name
    return "middle_block.1.", match[1]


def _vae_name(name: str) -> str:
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    for old, new in _VAE.items():
        name = name.replace(new, old)
    if "mid.attn_1." in name:
        for old, new in _ATTENTION.items():
            name = re.sub(rf"attn_1\.{re.escape(new)}\.", f"attn_1.{old}.", name)
    return name
