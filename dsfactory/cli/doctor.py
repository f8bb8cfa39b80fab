"""What this machine can do, for ``dsfactory doctor``."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from dsfactory.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        subject: what was looked at.
        fine: False when something that many people want is missing; dsfactory itself may still work.
        text: what was found, and what to do when it is missing.
    """

    subject: str
    fine: bool
    text: str


def examine() -> list[Finding]:
    """Look at Python, torch, the devices, optional packages, the disk and the models. Uses no network."""
    return [
        Finding("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *_torch(),
        _package("diffusers", "needed to draw: pip install diffusers"),
        _package("xformers", "optional, CUDA only: pip install 'dsfactory[xformers]'"),
        _crf(),
        _disk(),
        *_models(),
    ]


def _torch() -> list[Finding]:
    import torch

    found = [Finding("torch", True, str(torch.__version__))]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 2**30
            found.append(Finding("device", True, f"cuda:{index} {torch.cuda.get_device_name(index)}, {memory:.0f} GiB"))
    else:
        text = f"cpu, {os.cpu_count()} cores: enough for pocket; photographs want a CUDA GPU"
        found.append(Finding("device", True, text))
    return found


def _package(name: str, advice: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, False, f"not installed ({advice})")
    return Finding(name, True, importlib.metadata.version(name))


def _crf() -> Finding:
    """Which dense CRF is used, and which is faster on this machine: both refine one picture."""
    if importlib.util.find_spec("pydensecrf") is None:
        return Finding("CRF", True, "lattice (built in) is used; pydensecrf is not installed, the two agree")
    from dsfactory.crf.crf import backend_seconds

    seconds = backend_seconds()
    fastest = min(seconds, key=lambda name: seconds[name])
    times = ", ".join(f"{name} {spent * 1000:.0f} ms" for name, spent in seconds.items())
    text = f"lattice (built in) is used, so that masks do not depend on the machine; faster here: {fastest} ({times})"
    return Finding("CRF", True, text)


def _disk() -> Finding:
    folder = Path("runs") if Path("runs").is_dir() else Path()
    free = shutil.disk_usage(folder).free / 2**30
    text = (
        f"{free:.0f} GiB free in {folder.resolve()}" if free >= 1 else f"only {free:.2f} GiB free: make room for runs"
    )
    return Finding("disk", free >= 1, text)


def _models() -> list[Finding]:
    from dsfactory.models.inspect import list_models

    try:
        reports = list_models()
    except UserError as error:
        return [Finding("models", False, str(error))]
    return [
        Finding(
            f"model {item.name}",
            item.ready,
            f"ready ({item.size_mb} MB)" if item.ready else f"not here: {item.size_mb} MB to download when first used",
        )
        for item in reports
    ]
