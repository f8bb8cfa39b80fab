"""LoRAs, merged into the weights of a model (Hu et al. 2021, arXiv 2106.09685): W + weight · alpha / rank · up · down.

Merged, they cost no time and no memory per image, and attention is captured as ever. Files are read in the layouts of
diffusers, PEFT and kohya; a file's names are looked up among those of the model, with every dot as an underscore, which
is how kohya writes them. So what does not belong to the model is found before anything is loaded.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsfactory.errors import UserError
from dsfactory.models.adapters import Adapter
from dsfactory.models.folder import read_config
from dsfactory.models.locate import Model
from dsfactory.models.weights import read_header, read_metadata

if TYPE_CHECKING:
    import torch

_ENDS = {
    "lora_down": "down", "lora_A": "down", "lora.down": "down", "lora_linear_layer.down": "down",
    "lora_up": "up", "lora_B": "up", "lora.up": "up", "lora_linear_layer.up": "up",
}  # fmt: skip
_KEY = re.compile(rf"(.+?)\.(?:({'|'.join(map(re.escape, _ENDS))})(?:\.default)?\.weight|(alpha))")
_PROCESSOR = re.compile(r"(.+)\.processor\.(to_[qkv]|to_out)_lora\.(down|up)\.weight")

_PREFIXES = {
    "lora_unet_": "", "lora_te_": "text_encoder", "lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2",
    "unet.": "", "transformer.": "", "text_encoder.": "text_encoder", "text_encoder_2.": "text_encoder_2",
    "text_encoder_3.": "text_encoder_3", "base_model.model.": "",
}  # fmt: skip
"""How names of a part begin; the empty part is the one that draws."""

_SGM_RESNET = {
    "in_layers_2": "conv1", "out_layers_3": "conv2", "emb_layers_1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}  # fmt: skip
_SGM = {
    "input_blocks_0_0": "conv_in", "out_2": "conv_out", "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2", "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A weight that a LoRA changes.

    Attributes:
        part: of the pipeline, such as ``"unet"``.
        weight: the weight's name in it, dots as underscores.
        down, up: names of the two matrices in the LoRA's file.
        alpha: name of the scale there, or the scale itself; None for the rank.
        rank: of the two matrices.
    """

    part: str
    weight: str
    down: str
    up: str
    alpha: str | float | None
    rank: int


def changes(adapter: Adapter, model: Model) -> list[Change]:
    """What a LoRA changes in a model, in the order of its file. Reads headers only.

    Raises:
        UserError: it is no LoRA, one of a kind that is not read, or one of another model.
    """
    shapes = {name: tuple(item["shape"]) for name, item in read_header(adapter.path).items()}
    metadata = _settings(adapter)
    base = base_shapes(model)
    drawing = "unet" if "unet" in base else "transformer"
    layers = read_config(model.path / drawing).get("layers_per_block", 2)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for key in shapes:
        prefix = next((start for start in _PREFIXES if key.startswith(start)), "")
        if match := _PROCESSOR.fullmatch(key):
            module, kind = f"{match[1]}.{match[2].replace('to_out', 'to_out.0')}", match[3]
        elif match := _KEY.fullmatch(key):
            module, kind = match[1], _ENDS.get(match[2], "alpha")
        else:
            raise UserError(f"{adapter.name} is no LoRA that is read here: it holds {key[:100]}")
        part = _PREFIXES.get(prefix) or drawing
        flat = flattened(module.removeprefix(prefix))
        name = _known(flat, base.get(part, {}), layers)
        if name is None:
            raise UserError(f"{adapter.name} is made for another model than {model.name}, which has no {key[:100]}")
        found.setdefault((part, name), {})[kind] = key
    listed = []
    for (part, name), keys in found.items():
        if not {"down", "up"} <= keys.keys():
            raise UserError(f"{adapter.name} is damaged: of {next(iter(keys.values()))[:100]} a half is missing")
        down, up, target = shapes[keys["down"]], shapes[keys["up"]], base[part][name]
        fits = (
            len(down) >= 2 <= len(up)
            and up[1] == down[0]
            and up[0] == target[0]
            and math.prod(down[1:]) == math.prod(target[1:])
            and math.prod(up[2:]) == 1
        )
        if not fits:
            raise UserError(
                f"{adapter.name} is made for another model than {model.name}: {keys['down'][:100]} has the shape "
                f"{list(down)} for a weight of {list(target)}"
            )
        alpha = keys.get("alpha", metadata.get(f"{part}.lora_alpha", metadata.get("lora_alpha")))
        listed.append(Change(part, name, keys["down"], keys["up"], alpha, down[0]))
    if not listed:
        raise UserError(f"{adapter.name} is no LoRA: it holds no tensors")
    return listed


def merge(pipeline: Any, model: Model, adapters: Sequence[Adapter]) -> None:
    """Add LoRAs to the weights of a pipeline that lies in memory as a whole.

    Raises:
        UserError: see :func:`changes`.
    """
    import torch
    from safetensors import safe_open

    for adapter in adapters:
        listed = changes(adapter, model)
        weights = {part: _weights(getattr(pipeline, part)) for part in {change.part for change in listed}}
        with safe_open(adapter.path, "pt") as file, torch.no_grad():
            for change in listed:
                weight = weights[change.part][change.weight]
                down, up = (file.get_tensor(name).float().to(weight.device) for name in (change.down, change.up))
                alpha = change.alpha
                if isinstance(alpha, str):
                    alpha = float(file.get_tensor(alpha))
                scale = adapter.weight * (1.0 if alpha is None else alpha / change.rank)
                delta = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
                weight.data = (weight.float() + scale * delta).to(weight.dtype)


def base_shapes(model: Model) -> dict[str, dict[str, tuple[int, ...]]]:
    """Per part of a model the shapes of its weights, by name with dots as underscores."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name in model.layout.files:
        if name.endswith(".safetensors"):
            header = read_header(model.path / name)
            shapes = {_weight_name(key): tuple(item["shape"]) for key, item in header.items()}
            found.setdefault(name.partition("/")[0], {}).update(shapes)
    return found


def flattened(name: str) -> str:
    """A name as kohya writes it."""
    return name.replace(".", "_")


def _weight_name(name: str) -> str:
    """A weight's name, without what some versions of transformers put around a text encoder."""
    return flattened(name.removesuffix(".weight").removeprefix("text_model."))


def _weights(part: Any) -> "dict[str, torch.nn.Parameter]":
    return {_weight_name(name): weight for name, weight in part.named_parameters() if name.endswith(".weight")}


def _known(flat: str, base: Mapping[str, Any], layers: int) -> str | None:
    """The weight of the model that a module's name stands for; None when there is none."""
    names = (flat, flat.removeprefix("text_model_"), _from_sgm(flat, layers))
    return next((name for name in names if name in base), None)


def _from_sgm(flat: str, layers: int) -> str:
    """A module of Stability's own UNet (kohya trains SDXL there) by its name in diffusers."""
    if flat in _SGM:
        return _SGM[flat]
    match = re.fullmatch(r"(input|output)_blocks_(\d+)_(\d+)_(.+)|middle_block_(\d)_(.+)", flat)
    if match is None:
        return flat
    if match[5]:
        kind = "attentions" if match[5] == "1" else "resnets"
        return f"mid_block_{kind}_{int(match[5]) // 2}_{_SGM_RESNET.get(match[6], match[6])}"
    number, place, rest = int(match[2]), int(match[3]), match[4]
    side = "down" if match[1] == "input" else "up"
    block, layer = divmod(number - 1 if side == "down" else number, layers + 1)
    if rest in ("op", "conv"):
        return f"{side}_blocks_{block}_{side}samplers_0_conv"
    kind = "attentions" if place == 1 else "resnets"
    return f"{side}_blocks_{block}_{kind}_{layer}_{_SGM_RESNET.get(rest, rest)}"


def _settings(adapter: Adapter) -> dict[str, Any]:
    """What diffusers writes about a LoRA into its file; only plain ones are read.

    Raises:
        UserError: it is another kind.
    """
    try:
        found = json.loads(read_metadata(adapter.path).get("lora_adapter_metadata", "{}"))
    except ValueError:
        found = {}
    for name, value in found.items():
        if name.rpartition(".")[2] in ("use_dora", "use_rslora", "alpha_pattern") and value:
            raise UserError(f"{adapter.name} is a LoRA with {name}, which is not read here: merge it into a model")
    return dict(found)
