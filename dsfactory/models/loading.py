"""Loading models: safetensors only, no code from the hub, no safety checker."""

import gc
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.errors import UserError
from dsfactory.models.adapters import Adapter
from dsfactory.models.devices import GPUS, choose_device, choose_dtype, free_gb
from dsfactory.models.families import DRAWN_AS, FAMILIES
from dsfactory.models.locate import Model, locate_model
from dsfactory.models.lora import merge
from dsfactory.models.memory import Offload, choose_offload, network_billions
from dsfactory.models.textual_inversion import teach
from dsfactory.models.vae import load_vae, locate_vae
from dsfactory.models.weights import require_whole

Pipeline: TypeAlias = Any
"""A pipeline of a class in :data:`dsfactory.models.families.PIPELINES`; diffusers does not type their parts."""

OffloadChoice: TypeAlias = Literal["none", "model", "sequential", "auto"]

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
"""Sampling methods by short name: diffusers class, and what it is set to beyond the model's own configuration."""

_TEXT_BATCH = 64
_LONGEST_CAPTION = 128


def load_pipeline(
    name: str | Model,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    scheduler: str | None = None,
    allow_download: bool = True,
    offload: OffloadChoice = "none",
    vae: str | None = None,
    loras: Sequence[Adapter] = (),
    embeddings: Sequence[Adapter] = (),
) -> Pipeline:
    """Load a text-to-image pipeline onto a device, ready to draw.

    Args:
        name: preset, hub id, folder, or a model already located.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"`` …
        dtype: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``; see :func:`choose_dtype`.
        revision: branch, tag or commit of a hub model.
        scheduler: a name of :data:`SCHEDULERS`; None for the preset's or the model's own.
        allow_download: whether a hub model that is not on disk may be fetched.
        offload: which networks wait in the machine's memory until they are needed; ``"auto"`` for what fits.
        vae: folder or hub id of an autoencoder that takes the place of the model's own.
        loras: merged into its weights; see :mod:`dsfactory.models.lora`.
        embeddings: new words for its text encoders; see :mod:`dsfactory.models.textual_inversion`.

    Returns:
        A pipeline of a supported class in evaluation mode.

    Raises:
        UserError: see :func:`dsfactory.models.locate.locate_model`; files that cannot be read as what they claim; or a
            model that is too large for the device.
    """
    with _no_collection():
        import diffusers

    model = name if isinstance(name, Model) else locate_model(name, revision, allow_download)
    place = choose_device(device)
    family = model.layout.family
    if scheduler is not None and FAMILIES[family].own_scheduler:
        raise UserError(
            f"generate.scheduler={scheduler} does not suit {model.name}, which has one of its own kind: leave it out"
        )
    if any(name.endswith("/spiece.model") for name in model.layout.files) and not find_spec("sentencepiece"):
        raise UserError(f"model {model.name} has its tokenizer as spiece.model: pip install sentencepiece protobuf")
    own: dict[str, Any] = {"image_encoder": None} if family in ("sd", "sdxl", "sd3", "flux") else {}
    if family == "sd":
        own |= {"safety_checker": None, "requires_safety_checker": False, "feature_extractor": None}
    elif family == "sdxl":
        # A watermark would depend on whether an optional package happens to be installed.
        own |= {"add_watermarker": False}
    elif family == "sd3":
        own |= {"feature_extractor": None}
        if "text_encoder_3/config.json" not in model.layout.files:
            own |= {"text_encoder_3": None, "tokenizer_3": None}
    with quiet(), _readable(model), _no_collection():
        kind = DRAWN_AS.get(model.layout.pipeline, model.layout.pipeline)
        pipeline = getattr(diffusers, kind).from_pretrained(
            str(model.path),
            torch_dtype=choose_dtype(dtype, place),
            variant=model.layout.variant,
            use_safetensors=True,
            local_files_only=True,
            **own,
        )
    with quiet():
        merge(pipeline, model, loras)
        teach(pipeline, model, embeddings)
    method = scheduler or model.defaults.scheduler
    if method is not None:
        kind, settings = SCHEDULERS[method]
        pipeline.scheduler = getattr(diffusers, kind).from_config(pipeline.scheduler.config, **settings)
    if vae is not None:
        with quiet():
            pipeline.register_modules(vae=load_vae(locate_vae(vae), pipeline.vae))
    if offload == "auto":
        there, (width, height) = free_gb(place), (model.defaults.width or 0, model.defaults.height or 0)
        billions = network_billions(model.path, model.layout.files)
        weight_bytes = pipeline.vae.dtype.itemsize
        offload = "none" if there is None else choose_offload(billions, width, height, there, weight_bytes)
    if offload == "none" or place.type not in GPUS:
        _place(pipeline, place, model)
    else:
        offload_to(pipeline, place, offload)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def offload_to(pipeline: Pipeline, place: torch.device, offload: Offload) -> None:
    """Let a pipeline's networks, or their layers, take turns on a device; diffusers' own."""
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=place)
    else:
        pipeline.enable_sequential_cpu_offload(device=place)


def use_xformers(pipeline: Pipeline) -> None:
    """Let xformers compute the UNet's self-attention; cross-attention over 77 tokens gains nothing from it.

    Raises:
        UserError: not on CUDA, or xformers is not installed.
    """
    if pipeline.device.type != "cuda":
        raise UserError("generate.xformers needs a CUDA device: leave it out, PyTorch's own attention is used")
    if not hasattr(pipeline, "unet"):
        raise UserError("generate.xformers works for Stable Diffusion 1, 2 and XL only: leave it out")
    for name, module in pipeline.unet.named_modules():
        if name.endswith(".attn1"):
            try:
                module.set_use_memory_efficient_attention_xformers(True)
            except (ModuleNotFoundError, ValueError) as error:
                raise UserError(
                    "generate.xformers: xformers does not work here: install dsfactory[xformers]"
                ) from error


def compile_blocks(pipeline: Pipeline, backend: str = "inductor") -> None:
    """Let torch.compile fuse the denoiser's convolution and feed-forward blocks, each for itself.

    Attention layers stay as they are: a compiled region does not see hooks that are registered after it was compiled,
    and attention is captured by hooks. So what is captured is exact, whatever is compiled.

    Args:
        pipeline: what draws.
        backend: of torch.compile.

    Raises:
        UserError: torch.compile does not work here, as where there is no C++ compiler.
    """
    from diffusers.models.attention import FeedForward
    from diffusers.models.resnet import ResnetBlock2D

    network = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    try:
        torch.compile(torch.nn.SiLU(), backend=backend)(torch.zeros(8, device=network.device))
    except Exception as error:  # backends raise what they like
        first = str(error).strip().split("\n")[0][:200]
        raise UserError(f"generate.compile: torch.compile does not work here ({first}): leave it out") from error
    # Blocks share their code, and each width and grid is compiled once; 8, the default, is too few for a UNet.
    torch._dynamo.config.recompile_limit = 64
    for module in network.modules():
        if isinstance(module, (FeedForward, ResnetBlock2D)):
            module.compile(backend=backend)


def load_text_embedder(
    name: str | Model, revision: str | None = None, device: str = "auto", allow_download: bool = True
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Load a model's own text encoder as a sentence embedder, without the rest of the model: its CLIP where it has one.

    Args:
        name: preset, hub id, folder, or a model already located.
        revision: branch, tag or commit of a hub model.
        device: where to run it.
        allow_download: whether a hub model that is not on disk may be fetched.

    Returns:
        A function from texts to their pooled embeddings: float32 of shape ``(texts, features)`` and unit norm. What
        lies beyond CLIP's 77 tokens is not read. Of T5, Gemma and Qwen it is the mean over the last layer's tokens.

    Raises:
        UserError: as :func:`load_pipeline`.
    """
    with _no_collection():
        import transformers

    model = name if isinstance(name, Model) else locate_model(name, revision, allow_download)
    place = choose_device(device)
    index = json.loads((model.path / "model_index.json").read_text(encoding="utf-8"))
    clip = index["text_encoder"][1].startswith("CLIP")
    with quiet(), _readable(model):
        kinds = ("CLIPTokenizer", "CLIPTextModel") if clip else (index["tokenizer"][1], index["text_encoder"][1])
        tokenizer_class, encoder_class = (getattr(transformers, kind) for kind in kinds)
        tokenizer = tokenizer_class.from_pretrained(str(model.path / "tokenizer"), local_files_only=True)
        encoder: Any = encoder_class.from_pretrained(
            str(model.path / "text_encoder"),
            variant=model.layout.variant_of("text_encoder"),
            dtype=torch.float32 if clip else torch.bfloat16,
            use_safetensors=True,
            local_files_only=True,
        )
    _place(encoder, place, model)  # from_pretrained leaves it in evaluation mode

    @torch.no_grad()
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        parts = [np.zeros((0, encoder.config.get_text_config().hidden_size), dtype=np.float32)]
        for start in range(0, len(texts), _TEXT_BATCH):
            tokens = tokenizer(
                list(texts[start : start + _TEXT_BATCH]),
                padding=True,  # to the longest of them: nothing after its end enters the embedding of a text
                max_length=tokenizer.model_max_length if clip else _LONGEST_CAPTION,
                truncation=True,
                return_tensors="pt",
            ).to(place)
            if clip:
                pooled = encoder(tokens.input_ids).pooler_output
            else:
                found = encoder(
                    input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, output_hidden_states=True
                ).hidden_states[-1]
                kept = tokens.attention_mask[..., None]
                pooled = (found.float() * kept).sum(1) / kept.sum(1)
            parts.append(torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy())
        return np.concatenate(parts)

    return embed


def _place(part: Any, place: torch.device, model: Model) -> None:
    """Move a pipeline or a part of one to a device.

    Raises:
        UserError: there is no room for it.
    """
    try:
        part.to(place)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"model {model.name} does not fit into the memory of {place}: use a smaller --model, or --device cpu"
        ) from error


@contextmanager
def _readable(model: Model) -> Iterator[None]:
    """Turn what libraries raise over damaged files into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except (ImportError, OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
        require_whole(model.path, model.layout.files)
        first = str(error).strip().split("\n")[0][:200]
        raise UserError(f"model {model.name} in {model.path} cannot be loaded: {first}") from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage is looked for in the block: importing makes none, and the search takes a seventh of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence diffusers and transformers for a block: their loading bars and their advice to developers."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    logs = (diffusers_logging, transformers_logging)
    levels = [log.get_verbosity() for log in logs]
    bars = [log.is_progress_bar_enabled() for log in logs]
    for log in logs:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for log, level, bar in zip(logs, levels, bars, strict=True):
            log.set_verbosity(level)
            if bar:
                log.enable_progress_bar()
