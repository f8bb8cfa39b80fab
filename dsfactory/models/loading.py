"""Loading models: safetensors only, no code from the hub, no safety checker."""

import atexit
import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.errors import UserError
from dsfactory.models.locate import Model, locate_model
from dsfactory.models.presets import DRAWN_AS
from dsfactory.models.weights import require_whole

Pipeline: TypeAlias = Any
"""A pipeline of a class in :data:`dsfactory.models.presets.FAMILIES`; diffusers does not type their parts."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
"""Sampling methods by short name: diffusers class, and what it is set to beyond the model's own configuration."""

FLOW_FAMILIES = ("sd3", "flux")
"""Families trained with flow matching, which none of the other sampling methods can follow."""

_TEXT_BATCH = 64

# PyTorch asks Linux for pages of 2 MB for large tensors: on a CPU a good part of decoding is page faults otherwise.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Else Python looks through all that these libraries hold before it ends, for more than a second.
atexit.register(gc.freeze)


def choose_device(device: str) -> torch.device:
    """``"auto"`` is CUDA where there is one, else the CPU; anything else is taken by its name.

    Raises:
        UserError: no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device} cannot be used on this machine: try --device auto or cpu") from error
    return chosen


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """A number format by name; ``"auto"`` is float32 on a CPU, bfloat16 on a GPU that has it, else float16."""
    if dtype != "auto":
        return DTYPES[dtype]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def auto_dtype(device: str) -> str:
    """The number format that ``auto`` stands for on a device of this machine, by its name in :data:`DTYPES`.

    Raises:
        UserError: no such device here.
    """
    chosen = choose_dtype("auto", choose_device(device))
    return next(name for name, kind in DTYPES.items() if kind == chosen)


def load_pipeline(
    name: str | Model,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    scheduler: str | None = None,
    allow_download: bool = True,
) -> Pipeline:
    """Load a text-to-image pipeline onto a device, ready to draw.

    Args:
        name: preset, hub id, folder, or a model already located.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …
        dtype: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``; see :func:`choose_dtype`.
        revision: branch, tag or commit of a hub model.
        scheduler: a name of :data:`SCHEDULERS`; None for the preset's or the model's own.
        allow_download: whether a hub model that is not on disk may be fetched.

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
    if scheduler is not None and family in FLOW_FAMILIES:
        raise UserError(
            f"generate.scheduler={scheduler} does not suit {model.name}, which has a flow-matching one: leave it out"
        )
    own: dict[str, Any] = {}
    if family == "sd":
        own = {"safety_checker": None, "requires_safety_checker": False, "feature_extractor": None}
    elif family == "sdxl":
        # A watermark would depend on whether an optional package happens to be installed.
        own = {"add_watermarker": False}
    elif family == "sd3":
        own = {"feature_extractor": None}
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
            image_encoder=None,
            **own,
        )
    method = scheduler or model.defaults.scheduler
    if method is not None:
        kind, settings = SCHEDULERS[method]
        pipeline.scheduler = getattr(diffusers, kind).from_config(pipeline.scheduler.config, **settings)
    _place(pipeline, place, model)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


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
    """Load a model's own CLIP text encoder as a sentence embedder, without the rest of the model.

    Args:
        name: preset, hub id, folder, or a model already located.
        revision: branch, tag or commit of a hub model.
        device: where to run it.
        allow_download: whether a hub model that is not on disk may be fetched.

    Returns:
        A function from texts to their pooled embeddings: float32 of shape ``(texts, features)`` and unit norm. What
        lies beyond the encoder's 77 tokens is not read.

    Raises:
        UserError: as :func:`load_pipeline`.
    """
    with _no_collection():
        from transformers import CLIPTextModel, CLIPTokenizer

    model = name if isinstance(name, Model) else locate_model(name, revision, allow_download)
    place = choose_device(device)
    with quiet(), _readable(model):
        tokenizer = CLIPTokenizer.from_pretrained(str(model.path / "tokenizer"), local_files_only=True)
        encoder: Any = CLIPTextModel.from_pretrained(
            str(model.path / "text_encoder"),
            variant=model.layout.variant_of("text_encoder"),
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
        )
    _place(encoder, place, model)  # from_pretrained leaves it in evaluation mode

    @torch.no_grad()
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        parts = [np.zeros((0, encoder.config.hidden_size), dtype=np.float32)]
        for start in range(0, len(texts), _TEXT_BATCH):
            tokens = tokenizer(
                list(texts[start : start + _TEXT_BATCH]),
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            pooled = encoder(tokens.input_ids.to(place)).pooler_output
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
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
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
