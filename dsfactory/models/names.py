"""What a model's name stands for, before anything is looked up: a preset, a folder, a file or a hub model."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dsfactory.errors import UserError
from dsfactory.models.presets import BUNDLED, PRESETS, Preset, nearest_preset

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?(?P<host>[\w.-]+(?::\d+)?)/(?P<id>[\w.-]+/[\w.-]+?)"
    r"(?:/(?:tree|blob|resolve|commit)/(?P<revision>[^/?#]+)(?:/(?P<file>[^?#]+))?)?/?(?:[?#].*)?"
)
"""The address of a model's page on a hub, of a revision of it, or of one of its files."""

_HOSTS = ("huggingface.co", "hf.co")


@dataclass(frozen=True)
class Source:
    """Where a name points to: a folder, a checkpoint in a single file, or a hub id.

    Attributes:
        name: what to call the model: the preset's name, the hub id or the folder's or file's name.
        folder: a local one; None for a hub model.
        hub_id: ``owner/name``; None for what is local.
        preset: the one that was asked for, by its name or its hub id.
        revision: branch, tag or commit, where an address names one.
        file: a checkpoint: a path on this machine, or within the repository of ``hub_id``.
    """

    name: str
    folder: Path | None
    hub_id: str | None
    preset: Preset | None
    revision: str | None = None
    file: str | None = None


def resolve_name(name: str) -> Source:
    """Tell presets, folders, hub ids and addresses apart.

    Raises:
        UserError: it is none of them; names the nearest preset.
    """
    if name in PRESETS:
        preset = PRESETS[name]
        folder = BUNDLED / preset.source if preset.bundled else None
        return Source(name, folder, None if preset.bundled else preset.source, preset)
    path = os.path.expanduser(name)
    if os.path.isdir(path):  # False for what cannot be a path at all, where Path.is_dir raises
        return Source(Path(path).resolve().name, Path(path), None, None)
    if os.path.isfile(path):
        return Source(Path(path).stem, None, None, None, file=_checkpoint(path))
    if page := hub_page(name):
        hub_id, revision, file = page
        return _on_hub(hub_id, revision, _checkpoint(file) if file else None)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"--model {name} is not there: give the folder of a diffusers pipeline")
    near = nearest_preset(name)
    advice = f"did you mean '{near}'? " if near else ""
    raise UserError(
        f"there is no model {name[:80]!r}: {advice}use one of 'dsfactory models list', such as pocket or sd15, a "
        "hub id such as owner/name, or the folder of a diffusers pipeline"
    )


def hub_page(name: str) -> tuple[str, str | None, str | None] | None:
    """Hub id, revision and file that a hub id or an address names; None when it is neither."""
    if _HUB_ID.fullmatch(name):
        return name, None, None
    page = _PAGE.fullmatch(name)
    return (page["id"], page["revision"], page["file"]) if page and page["host"] in (*_HOSTS, _own_host()) else None


def _on_hub(hub_id: str, revision: str | None = None, file: str | None = None) -> Source:
    preset = next((item for item in PRESETS.values() if not item.bundled and item.source == hub_id), None)
    return Source(hub_id, None, hub_id, preset if file is None else None, revision, file)


def _checkpoint(file: str) -> str:
    """A file that may be a checkpoint.

    Raises:
        UserError: by its name it is none, or one that can run code.
    """
    if file.endswith(".safetensors"):
        return file
    if file.endswith((".ckpt", ".pt", ".pth", ".bin", ".pkl")):
        raise UserError(f"--model {file} is pickled, which can run any code when it is read: use its .safetensors")
    raise UserError(f"--model {file} is a file: give a .safetensors, or the folder of a diffusers pipeline")


def _own_host() -> str | None:
    """The host of the hub that HF_ENDPOINT names."""
    return os.environ.get("HF_ENDPOINT", "").partition("://")[2].strip("/") or None
