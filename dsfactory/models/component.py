"""A network by itself, not a whole pipeline: an autoencoder, a promptable segmenter. A folder or a hub id names it."""

import hashlib
from pathlib import Path

from dsfactory.models.fetch import fetch
from dsfactory.models.folder import file_digest

CONFIG = "config.json"


def find_component(name: str, weights: str) -> Path | None:
    """Its folder, or None for a hub's that is not on this machine. Never uses the network.

    Args:
        name: a folder, or a hub id such as ``stabilityai/sd-vae-ft-mse``.
        weights: name of its file.
    """
    folder = Path(name).expanduser()
    if folder.is_dir() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        return folder
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, weights)
    return Path(cached).parent if isinstance(cached, str) else None


def locate_component(name: str, weights: str) -> Path:
    """The same, fetched from the hub first if it has to be.

    Raises:
        UserError: see :func:`dsfactory.models.fetch.fetch`.
    """
    return find_component(name, weights) or fetch(name, name, None, (CONFIG, weights))


def is_component(folder: Path) -> bool:
    """Whether a folder has a network's configuration and weights."""
    return (folder / CONFIG).is_file() and any(folder.glob("*.safetensors"))


def component_digest(folder: Path) -> str:
    """A hash of a network's configuration and weights: 32 hex digits."""
    files = [folder / CONFIG, *sorted(folder.glob("*.safetensors"))]
    return hashlib.sha256("".join(map(file_digest, files)).encode()).hexdigest()[:32]
