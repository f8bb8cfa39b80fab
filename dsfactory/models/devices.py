"""Where models run, and in which number format."""

import atexit
import gc
import os

import torch

from dsfactory.errors import UserError

GPUS = ("cuda", "xpu", "mps")
"""Kinds of devices that ``auto`` takes."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# PyTorch asks Linux for pages of 2 MB for large tensors: on a CPU a good part of decoding is page faults otherwise.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Else Python looks through all that these libraries hold before it ends, for more than a second.
atexit.register(gc.freeze)


def choose_device(device: str) -> torch.device:
    """``"auto"`` is the GPU that PyTorch finds (CUDA, Intel's XPU, Apple's MPS), else the CPU; anything else is taken
    by its name. XPU and MPS are chosen by PyTorch's word and have not been tried.

    Raises:
        UserError: no such device here.
    """
    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return found if found is not None and found.type in GPUS else torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device} cannot be used on this machine: try --device auto or cpu") from error
    return chosen


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """A number format by name; ``"auto"`` is float32 on a CPU, bfloat16 on a GPU, float16 on CUDA older than that."""
    if dtype != "auto":
        return DTYPES[dtype]
    if device.type not in GPUS:
        return torch.float32
    old = device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)
    return torch.float16 if old else torch.bfloat16


def free_gb(device: torch.device) -> float | None:
    """Free memory of a GPU that has its own, in GB; None for a CPU and for Apple's, which share the machine's."""
    if device.type not in ("cuda", "xpu"):
        return None
    free, _ = torch.get_device_module(device.type).mem_get_info(device)
    return float(free) / 1e9


def auto_dtype(device: str) -> str:
    """The number format that ``auto`` stands for on a device of this machine, by its name in :data:`DTYPES`.

    Raises:
        UserError: no such device here.
    """
    chosen = choose_dtype("auto", choose_device(device))
    return next(name for name, kind in DTYPES.items() if kind == chosen)
