"""How much GPU memory a model needs, reckoned from the shapes of its networks, and how it is made to fit."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from dsfactory.models.weights import parameters

Offload: TypeAlias = Literal["none", "model", "sequential"]
"""What of a pipeline is on the GPU at a time: all networks, one network, or one layer; the others wait in memory."""

OFFLOADS: tuple[Offload, ...] = ("none", "model", "sequential")
"""From the fastest to the one that needs least."""

_DECODING_BYTES = 4200
"""A pixel's, while the autoencoder decodes it."""

_STEP_BYTES = 1000
"""A pixel's, while a step is drawn. At 1024² a block of FLUX.1 holds 4608 × 21,504 and 4608 × 15,360 numbers of 16 bit,
a third of that."""

_LARGEST_LAYER = 0.55
"""Billions of parameters of the largest single layer of all presets: the embedding of Qwen-Image's text encoder."""

_CUDA_GB = 0.5
"""What CUDA and its kernels take."""


def gpu_gb(billions: Sequence[float], width: int, height: int, offload: Offload = "none", weight_bytes: int = 2) -> int:
    """GPU memory for one image at a time, in whole GB (10⁹ bytes), rounded up.

    Args:
        billions: parameters of each of the pipeline's networks, the autoencoder last.
        width: of the image, in pixels.
        height: of the image, in pixels.
        offload: see :data:`Offload`.
        weight_bytes: of the number format.
    """
    megapixels = width * height / 1e6
    step, decoding = megapixels * _STEP_BYTES / 1e3, megapixels * _DECODING_BYTES / 1e3
    if offload == "none":
        needed = sum(billions) * weight_bytes + max(step, decoding)
    else:
        largest, autoencoder = (
            billion if offload == "model" else min(billion, _LARGEST_LAYER) for billion in (max(billions), billions[-1])
        )
        needed = max(largest * weight_bytes + step, autoencoder * weight_bytes + decoding)
    return math.ceil(needed + _CUDA_GB)


def choose_offload(
    billions: Sequence[float], width: int, height: int, there_gb: float, weight_bytes: int = 2
) -> Offload:
    """The fastest way for which a GPU has the memory; the most frugal one where none fits.

    Args:
        billions, width, height, weight_bytes: as for :func:`gpu_gb`.
        there_gb: the GPU's memory, in GB.

    Example:
        >>> flux = (11.9, 0.12, 4.76, 0.08)
        >>> [choose_offload(flux, 1024, 1024, memory) for memory in (80, 32, 24, 8)]
        ['none', 'model', 'sequential', 'sequential']
    """
    fitting = (way for way in OFFLOADS if gpu_gb(billions, width, height, way, weight_bytes) <= there_gb)
    return next(fitting, OFFLOADS[-1])


def network_billions(path: Path, files: Iterable[str]) -> tuple[float, ...]:
    """Billions of parameters of each of a pipeline's networks, from the headers of its files.

    Args:
        path: the pipeline's folder.
        files: in it, relative.

    Raises:
        UserError: a file is damaged.
    """
    sizes: dict[str, float] = {}
    for name in files:
        if name.endswith(".safetensors"):
            part = name.partition("/")[0]
            sizes[part] = sizes.get(part, 0.0) + parameters(path / name) / 1e9
    return tuple(sizes[part] for part in sorted(sizes))  # "vae" is the last
