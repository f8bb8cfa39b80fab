"""Pipelines with the layers of real models and random weights: nothing to download, and time and memory are the same.

Text encoders are shortened, for they run once per prompt. Stable Diffusion 1.5 and XL are whole otherwise; of the
transformers of Stable Diffusion 3 and FLUX, whose blocks are all alike, there are a few blocks at full width.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)


class Family(NamedTuple):
    """An architecture to draw with.

    Attributes:
        title: how to name it in a report.
        build: makes its pipeline in a number format on a device.
    """

    title: str
    build: Callable[[torch.dtype, torch.device], Any]


def stable_diffusion_15(dtype: torch.dtype, device: torch.device) -> Any:
    """Stable Diffusion 1.5 of full size, text encoder included."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer()
    with made_on(device, dtype):
        parts = {
            "vae": _vae(4),
            "text_encoder": CLIPTextModel(_clip(tokenizer, 768, layers=12)),
            "unet": UNet2DConditionModel(
                sample_size=64, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8
            ),
        }
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    pipeline = StableDiffusionPipeline(
        **parts,
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _ready(pipeline, dtype, device)


def stable_diffusion_xl(dtype: torch.dtype, device: torch.device) -> Any:
    """Stable Diffusion XL: its whole UNet of 2.6 billion weights."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer()
    with made_on(device, dtype):
        parts = {
            "vae": _vae(4),
            "text_encoder": CLIPTextModel(_clip(tokenizer, 768)),
            "text_encoder_2": CLIPTextModelWithProjection(_clip(tokenizer, 1280, projection=1280)),
            "unet": UNet2DConditionModel(
                sample_size=128,
                block_out_channels=(320, 640, 1280),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=(1, 2, 10),
                attention_head_dim=(5, 10, 20),
                cross_attention_dim=2048,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=256,
                projection_class_embeddings_input_dim=2816,
            ),
        }
    pipeline = StableDiffusionXLPipeline(
        **parts,
        tokenizer=tokenizer,
        tokenizer_2=letter_tokenizer(),
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        add_watermarker=False,
    )
    return _ready(pipeline, dtype, device)


def stable_diffusion_3(dtype: torch.dtype, device: torch.device) -> Any:
    """Stable Diffusion 3 medium: 6 of its 24 blocks."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer()
    with made_on(device, dtype):
        parts = {
            "transformer": SD3Transformer2DModel(
                sample_size=128,
                patch_size=2,
                in_channels=16,
                out_channels=16,
                num_layers=6,
                attention_head_dim=64,
                num_attention_heads=24,
                joint_attention_dim=4096,
                caption_projection_dim=1536,
                pooled_projection_dim=2048,
                pos_embed_max_size=192,
            ),
            "vae": _vae(16, shift_factor=0.0609),
            "text_encoder": CLIPTextModelWithProjection(_clip(tokenizer, 768, projection=768)),
            "text_encoder_2": CLIPTextModelWithProjection(_clip(tokenizer, 1280, projection=1280)),
            "text_encoder_3": _t5(),
        }
    pipeline = StableDiffusion3Pipeline(
        **parts,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        tokenizer=tokenizer,
        tokenizer_2=letter_tokenizer(),
        tokenizer_3=letter_t5_tokenizer(),
    )
    return _ready(pipeline, dtype, device)


def flux(dtype: torch.dtype, device: torch.device) -> Any:
    """FLUX.1: 2 of its 19 blocks in two streams, and 4 of its 38 in one."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer()
    with made_on(device, dtype):
        parts = {
            # With guidance as FLUX.1-dev, which reads as many tokens as the bare pipeline does.
            "transformer": FluxTransformer2DModel(num_layers=2, num_single_layers=4, guidance_embeds=True),
            "vae": _vae(16, shift_factor=0.1159),
            "text_encoder": CLIPTextModel(_clip(tokenizer, 768)),
            "text_encoder_2": _t5(),
        }
    pipeline = FluxPipeline(
        **parts,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        tokenizer=tokenizer,
        tokenizer_2=letter_t5_tokenizer(),
    )
    return _ready(pipeline, dtype, device)


FAMILIES = {
    "sd15": Family("Stable Diffusion 1.5 of full size", stable_diffusion_15),
    "sdxl": Family("Stable Diffusion XL's whole UNet", stable_diffusion_xl),
    "sd3": Family("a quarter of Stable Diffusion 3's blocks", stable_diffusion_3),
    "flux": Family("a tenth of FLUX.1's blocks", flux),
}
"""What can draw, by the name on the command line."""


@contextmanager
def made_on(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Make networks where and as they will compute: random numbers come faster on a GPU, float32 may not fit there."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


def _ready(pipeline: Any, dtype: torch.dtype, device: torch.device) -> Any:
    pipeline.to(device, dtype)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _vae(channels: int, **changes: Any) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=channels,
        sample_size=512,
        **changes,
    )


def _clip(tokenizer: CLIPTokenizer, width: int, layers: int = 2, projection: int = 512) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        hidden_act="quick_gelu",
        eos_token_id=tokenizer.eos_token_id,
        projection_dim=projection,
    )


def _t5() -> T5EncoderModel:
    return T5EncoderModel(T5Config(vocab_size=64, d_model=4096, d_kv=64, d_ff=64, num_layers=1, num_heads=4)).eval()


def letter_tokenizer() -> CLIPTokenizer:
    """CLIP's kind of tokenizer, which reads letter by letter."""
    letters = [chr(code) for code in range(33, 127)]
    vocab = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(vocab)}, merges=[], model_max_length=77)


def letter_t5_tokenizer() -> T5TokenizerFast:
    """T5's kind of tokenizer, which reads letter by letter."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(letter, -10.0) for letter in "abcdefghijklmnopqrstuvwxyz,.'-"]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512)
