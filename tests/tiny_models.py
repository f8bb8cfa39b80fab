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
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
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


def tiny_lcm(path: Path) -> Path:
    """A latent consistency model: Stable Diffusion 1.x, distilled to take guidance as a number."""
    parts = _sd_pipeline(scheduler=_scheduler("epsilon"), unet={"time_cond_proj_dim": 16}).components
    del parts["image_encoder"]
    parts["scheduler"] = LCMScheduler.from_config(parts["scheduler"].config)
    LatentConsistencyModelPipeline(**parts, requires_safety_checker=False).save_pretrained(path)
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


def _vae(**changes: Any) -> AutoencoderKL:
    return AutoencoderKL(
        **changes,
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


def tiny_sd3(path: Path, t5: bool = True) -> Path:
    """Stable Diffusion 3.5: joint attention in two streams with QK-norm, three text encoders or two."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=3,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=8,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=_sharpened(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(shift_factor=0.06),
        text_encoder=CLIPTextModelWithProjection(_text_config(tokenizer, projection_dim=32)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, projection_dim=32)),
        tokenizer_2=tiny_tokenizer(),
        text_encoder_3=_t5() if t5 else None,
        tokenizer_3=tiny_t5_tokenizer() if t5 else None,
    )
    pipeline.save_pretrained(path)
    return path


def tiny_flux(path: Path) -> Path:
    """FLUX.1: joint attention in two streams, then in one, with QK-norm and rotary positions."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=64,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    pipeline = FluxPipeline(
        transformer=_sharpened(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(shift_factor=0.06),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=_t5(),
        tokenizer_2=tiny_t5_tokenizer(),
    )
    pipeline.save_pretrained(path)
    return path


def tiny_t5_tokenizer() -> T5TokenizerFast:
    """A unigram tokenizer like T5's that knows :data:`WHOLE_WORDS` and the letters."""
    letters = [(letter, -10.0) for letter in "abcdefghijklmnopqrstuvwxyz,.'-"]
    words = [(f"▁{word}", -2.0) for word in WHOLE_WORDS]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    return T5TokenizerFast(vocab=[*special, *words, *letters], extra_ids=0, model_max_length=512)


def _t5() -> T5EncoderModel:
    config = T5Config(vocab_size=64, d_model=64, d_kv=16, d_ff=64, num_layers=1, num_heads=4)
    return T5EncoderModel(config).eval()


def _sharpened(network: torch.nn.Module) -> torch.nn.Module:
    """Fresh weights attend to everything alike, which would hide mistakes: norms that scale queries tell them apart."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "norm_q" in name or "norm_added_q" in name:
                weight *= 4
    return network
