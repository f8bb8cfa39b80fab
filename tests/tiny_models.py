"""Stable Diffusion pipelines of a few thousand weights, from the real diffusers and transformers classes.

Each function writes a pipeline folder as ``save_pretrained`` does and returns its path. Images are 64 pixels a
side by default, latents 8², attention maps 8² and 4². Weights are random from a fixed seed, so pictures are
noise, but noise that depends on the prompt and the seed.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

WHOLE_WORDS = ("a", "photo", "of", "and", "the", "on", "in", "dog", "dogs", "bird", "cat", "hot", "traffic", "light")
"""Words that the tiny tokenizer knows as one token; it reads all others letter by letter."""


def tiny_tokenizer() -> CLIPTokenizer:
    """A byte-level BPE like CLIP's, with 77 tokens, all bytes, and merges for :data:`WHOLE_WORDS`."""
    letters = [*map(chr, [*range(33, 127), *range(161, 173), *range(174, 256)]), *map(chr, range(256, 324))]
    vocab = letters + [f"{letter}</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in WHOLE_WORDS:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pair = (pieces[-2], pieces[-1])
            pieces[-2:] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                vocab.append(pieces[-1])
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(vocab)}, merges=merges, model_max_length=77)


def tiny_sd(path: Path, **changes: Any) -> Path:
    """Stable Diffusion 1.x: epsilon prediction, one text encoder, a KL autoencoder."""
    _sd_pipeline(scheduler=_scheduler("epsilon"), **changes).save_pretrained(path)
    return path


def tiny_sd2(path: Path, **changes: Any) -> Path:
    """Stable Diffusion 2.x: v-prediction, linear projections in the UNet, heads counted per block."""
    unet = {"use_linear_projection": True, "attention_head_dim": (2, 4), "upcast_attention": True}
    _sd_pipeline(scheduler=_scheduler("v_prediction"), unet=unet, **changes).save_pretrained(path)
    return path


def tiny_pocket(path: Path) -> Path:
    """The shape of the bundled pocket model: v-prediction and a tiny autoencoder with 8 latent channels;
    the UNet attends to its finest grid on the way up only."""
    torch.manual_seed(0)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        latent_channels=8,
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )
    unet = {"in_channels": 8, "out_channels": 8, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D")}
    _sd_pipeline(scheduler=_scheduler("v_prediction"), unet=unet, vae=vae).save_pretrained(path)
    return path


def tiny_sdxl(path: Path) -> Path:
    """Stable Diffusion XL: two text encoders, pooled text and size in the time embedding, no attention at full size."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    unet = _unet(
        block_out_channels=(16, 32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=64,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, projection_dim=32)),
        tokenizer=tokenizer,
        tokenizer_2=tiny_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        add_watermarker=False,
    )
    pipeline.save_pretrained(path)
    return path


def _sd_pipeline(
    scheduler: DDIMScheduler, unet: dict[str, Any] | None = None, vae: Any = None
) -> StableDiffusionPipeline:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    return StableDiffusionPipeline(
        vae=vae or _vae(),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(**(unet or {})),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _unet(**changes: Any) -> UNet2DConditionModel:
    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": 2,
        "norm_num_groups": 8,
        "cross_attention_dim": 32,
    }
    unet = UNet2DConditionModel(**(settings | changes))
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "to_q" in name or "to_k" in name:
                weight *= 6  # fresh weights attend to everything alike, which would hide mistakes
    return unet


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )


def _text_config(tokenizer: CLIPTokenizer, **changes: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
    )


def _scheduler(prediction: str) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
