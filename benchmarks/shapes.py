"""How large the presets' networks are, counted on their shapes: the real classes at full size, without any weights.

usage: python -m benchmarks.shapes [PRESET …], or --table for GPU memory as docs/models.md has it

Prints, per preset and part, billions of parameters: what ``dsfactory/models/presets.py`` states. Configurations are
those of the published repositories.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import diffusers as d
import torch
import transformers as t

from dsfactory.models.memory import OFFLOADS, gpu_gb
from dsfactory.models.presets import PRESETS

_T5 = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "vocab_size": 32128}
_CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_QWEN3_4B = {
    "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
_VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2,
}  # fmt: skip
_SD3 = {"in_channels": 16, "out_channels": 16, "patch_size": 2, "pooled_projection_dim": 2048, "qk_norm": "rms_norm"}


def _clip(**changes: Any) -> Any:
    return t.CLIPTextModelWithProjection(t.CLIPTextConfig(projection_dim=changes["hidden_size"], **changes))


def _t5() -> Any:
    return t.T5EncoderModel(t.T5Config(feed_forward_proj="gated-gelu", **_T5))


def _vae(channels: int) -> Any:
    return d.AutoencoderKL(latent_channels=channels, **_VAE)


def _flux(guided: bool) -> dict[str, Callable[[], Any]]:
    return {
        "transformer": lambda: d.FluxTransformer2DModel(guidance_embeds=guided),
        "text_encoder": lambda: _clip(**_CLIP_L),
        "text_encoder_2": _t5,
        "vae": lambda: _vae(16),
    }


def _sd3(layers: int, dual: tuple[int, ...], table: int) -> dict[str, Callable[[], Any]]:
    return {
        "transformer": lambda: d.SD3Transformer2DModel(
            num_layers=layers, num_attention_heads=layers, caption_projection_dim=64 * layers, pos_embed_max_size=table,
            dual_attention_layers=dual, **_SD3,
        ),
        "text_encoder": lambda: _clip(**_CLIP_L),
        "text_encoder_2": lambda: _clip(**_CLIP_G),
        "text_encoder_3": _t5,
        "vae": lambda: _vae(16),
    }  # fmt: skip


def _qwen3() -> Any:
    return t.Qwen3ForCausalLM(t.Qwen3Config(**_QWEN3_4B))


_SD21_UNET = {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
_SDXL_UNET = {
    "block_out_channels": (320, 640, 1280), "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
    "up_block_types": (*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"), "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048, "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
_CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}

PARTS: dict[str, dict[str, Callable[[], Any]]] = {
    "sd15": {
        "unet": lambda: d.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8),
        "text_encoder": lambda: t.CLIPTextModel(t.CLIPTextConfig(**_CLIP_L)),
        "vae": lambda: _vae(4),
    },
    "sd21": {
        "unet": lambda: d.UNet2DConditionModel(**_SD21_UNET),
        "text_encoder": lambda: t.CLIPTextModel(t.CLIPTextConfig(**_CLIP_H)),
        "vae": lambda: _vae(4),
    },
    "sdxl": {
        "unet": lambda: d.UNet2DConditionModel(**_SDXL_UNET),
        "text_encoder": lambda: t.CLIPTextModel(t.CLIPTextConfig(**_CLIP_L)),
        "text_encoder_2": lambda: _clip(**_CLIP_G),
        "vae": lambda: _vae(4),
    },
    "sd35": _sd3(24, tuple(range(13)), 384),
    "sd35-large": _sd3(38, (), 192),
    "sd35-turbo": _sd3(38, (), 192),
    "flux-schnell": _flux(False),
    "flux-dev": _flux(True),
    "flux2-klein": {
        "transformer": lambda: d.Flux2Transformer2DModel(
            num_layers=5, num_single_layers=20, num_attention_heads=24, joint_attention_dim=7680, guidance_embeds=False
        ),
        "text_encoder": _qwen3,
        "vae": lambda: d.AutoencoderKLFlux2(),
    },
    "z-image-turbo": {
        "transformer": lambda: d.ZImageTransformer2DModel(), "text_encoder": _qwen3, "vae": lambda: _vae(16),
    },
    "qwen-image": {
        "transformer": lambda: d.QwenImageTransformer2DModel(),
        "text_encoder": lambda: t.Qwen2_5_VLForConditionalGeneration(t.Qwen2_5_VLConfig(
            text_config={
                "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
                "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
            },
            vision_config={
                "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
            },
        )),
        "vae": lambda: d.AutoencoderKLQwenImage(),
    },
    "pixart-sigma": {
        "transformer": lambda: d.PixArtTransformer2DModel(caption_channels=4096, use_additional_conditions=False),
        "text_encoder": _t5,
        "vae": lambda: _vae(4),
    },
    "sana-sprint": {
        "transformer": lambda: d.SanaTransformer2DModel(guidance_embeds=True, qk_norm="rms_norm_across_heads"),
        "text_encoder": lambda: t.Gemma2Model(t.Gemma2Config()),
        "vae": lambda: d.AutoencoderDC(
            latent_channels=32,
            encoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
            decoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
            encoder_block_out_channels=(128, 256, 512, 512, 1024, 1024),
            decoder_block_out_channels=(128, 256, 512, 512, 1024, 1024),
            encoder_layers_per_block=(2, 2, 2, 3, 3, 3),
            decoder_layers_per_block=(3, 3, 3, 3, 3, 3),
            encoder_qkv_multiscales=((), (), (), (5,), (5,), (5,)),
            decoder_qkv_multiscales=((), (), (), (5,), (5,), (5,)),
            downsample_block_type="Conv",
            upsample_block_type="interpolate",
        ),
    },
}  # fmt: skip


def _weights(network: torch.nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]


def billions(preset: str) -> dict[str, float]:
    """Billions of parameters of each part, to two digits after the point."""
    with torch.device("meta"):
        return {
            part: round(sum(weight.numel() for weight in _weights(make())) / 1e9, 2)
            for part, make in PARTS[preset].items()
        }


def table() -> list[str]:
    """A row per preset: billions of parameters, pixels a side, GB of GPU memory for each way of offloading."""
    rows = []
    for preset in PRESETS.values():
        side, sizes = preset.defaults.width or 128, " + ".join(f"{part:g}" for part in preset.billions)
        memory = " | ".join(str(gpu_gb(preset.billions, side, side, way)) for way in OFFLOADS)
        rows.append(f"| `{preset.name}` | {sizes} | {side} | {memory} |")
    return rows


if __name__ == "__main__" and sys.argv[1:] == ["--table"]:
    print("\n".join(table()))
elif __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        print(name, json.dumps(billions(name)), flush=True)
