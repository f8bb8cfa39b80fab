"""From a model's name to its folder on this machine: presets, hub ids and local folders."""

import glob
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.defaults import ORIGIN, origin, repository_defaults
from dsfactory.models.fetch import fetch
from dsfactory.models.folder import PipelineFolder, default_size, folder_digest, read_folder, require_complete
from dsfactory.models.hub_errors import ELSEWHERE
from dsfactory.models.known import known_model
from dsfactory.models.names import Source, resolve_name
from dsfactory.models.presets import Defaults, Preset
from dsfactory.models.single_file import convert, converted_folder

__all__ = ["Model", "Source", "cached_snapshot", "find_model", "locate_model", "resolve_name"]


@dataclass(frozen=True)
class Model:
    """A complete model on this machine.

    Attributes:
        name: the preset's name, the hub id, or the folder's name.
        path: the pipeline's folder.
        layout: what the folder holds.
        preset: the preset that was asked for, by its name or its hub id.
        hub_id: of a hub model; None for local folders and the bundled model.
        commit: the hub's commit; None for a folder of the user.
        file: the checkpoint that the folder was made of, if it was: its path in the repository, or a hash of it.
    """

    name: str
    path: Path
    layout: PipelineFolder
    preset: Preset | None = None
    hub_id: str | None = None
    commit: str | None = None
    file: str | None = None

    @property
    def defaults(self) -> Defaults:
        """How it is drawn with unless the user says otherwise; never with an open size."""
        hub_id = self.hub_id if self.file is None else None
        hub_id = hub_id or (None if self.preset else origin(self.path))
        known = known_model(hub_id) if hub_id else None
        own = self.preset.defaults if self.preset else known.defaults if known else None
        if own is None:
            return repository_defaults(self.path, self.layout, card=hub_id is not None)
        if own.width is not None:
            return own
        width, height = default_size(self.path)
        return Defaults(width, height, own.steps, own.guidance, own.scheduler, own.negative_prompt)

    def identity(self) -> dict[str, Any]:
        """What tells this model from any other, as JSON values: hub id and commit, or a hash of the folder.

        The place on disk is no part of it, so a copy of a folder is the same model.
        """
        if self.commit is not None:
            return {"model": self.hub_id, "commit": self.commit} | ({"file": self.file} if self.file else {})
        if self.file is not None:
            return {"model": self.name, "content": self.file}
        return {"model": self.name, "content": folder_digest(self.path, self.layout)}


def find_model(name: str, revision: str | None = None) -> Model | None:
    """A model that is complete on this machine, or None for a hub model that is not. Never uses the network.

    Raises:
        UserError: the name means nothing, or its folder is no pipeline that can be loaded.
    """
    source = resolve_name(name)
    if source.folder is not None:
        if source.preset is not None and not (source.folder / "model_index.json").exists():
            raise UserError(f"the {name} model did not come with this copy of dsfactory: install it again, or use sd15")
        if revision is not None:
            raise UserError(f"generate.revision is for hub models, and {name} is a folder: leave it out")
        layout = read_folder(source.folder, name)
        require_complete(layout, name)
        return Model(source.name, source.folder, layout, source.preset)
    if source.file is not None:
        return _find_single(source, revision or source.revision)
    hub_id = str(source.hub_id)
    snapshot = cached_snapshot(hub_id, revision or source.revision)
    if snapshot is None:
        return None
    layout = read_folder(snapshot, name)
    if layout.missing:
        return None
    return Model(source.name, snapshot, layout, source.preset, hub_id, snapshot.name)


def locate_model(name: str, revision: str | None = None, allow_download: bool = True) -> Model:
    """A model on this machine, fetched from the hub first if it has to be and may be.

    What is complete on disk is used as it is, without asking the hub for anything newer.

    Args:
        name: preset, hub id (``owner/name``), address of a model's page, or folder.
        revision: branch, tag or commit of a hub model.
        allow_download: whether a hub model that is not on disk may be fetched.

    Raises:
        UserError: unknown name; a pipeline that is not supported, incomplete or pickled; a hub that cannot be
            reached or refuses; no space.
    """
    model = find_model(name, revision)
    if model is not None:
        return model
    source = resolve_name(name)
    if not allow_download:
        raise UserError(f"model {source.name} is not on this machine: {ELSEWHERE}")
    if source.file is not None:
        _make_single(source, revision or source.revision)
    else:
        fetch(source.name, str(source.hub_id), revision or source.revision)
    model = find_model(name, revision)
    if model is None:
        raise UserError(
            f"model {source.name} is still incomplete after its download: run the command again, or {ELSEWHERE}"
        )
    return model


def fetch_model(name: str, to: Path | None = None) -> Model:
    """Fetch a hub model beforehand.

    Args:
        name: preset, hub id or address of a model's page.
        to: a folder to fetch it into, new or begun by an earlier call; None for the hub's cache.

    Raises:
        UserError: it is not on a hub; the folder holds other things; or see :func:`locate_model`.
    """
    source = resolve_name(name)
    if source.hub_id is None:
        raise UserError(f"{name} is on this machine already: there is nothing to fetch")
    if to is None:
        return locate_model(name)
    if source.file is not None:
        raise UserError("--to is for pipelines: fetch a single file without it")
    if to.exists() and not (to.is_dir() and (not any(to.iterdir()) or (to / ".cache" / "huggingface").is_dir())):
        raise UserError(f"--to {to} holds other things: give a new folder")
    fetch(source.name, source.hub_id, source.revision, to=to)
    (to / ORIGIN).write_text(json.dumps({"model": source.hub_id}) + "\n", encoding="utf-8")
    model = find_model(str(to))
    assert model is not None
    return model


def _find_single(source: Source, revision: str | None) -> Model | None:
    """The model made of a checkpoint, if that was made."""
    assert source.file is not None
    file: Path | None = Path(source.file).expanduser()
    commit = None
    if source.hub_id is not None:
        file = cached_file(source.hub_id, source.file, revision)
        if file is None:
            return None
        commit = file.parents[source.file.count("/")].name
    assert file is not None
    folder = converted_folder(file)
    if not folder.is_dir():
        return None
    identity = source.file if commit else folder.name
    return Model(source.name, folder, read_folder(folder, source.name), None, source.hub_id, commit, identity)


def _make_single(source: Source, revision: str | None) -> None:
    """Fetch a checkpoint if it is on a hub, and make a folder of it."""
    assert source.file is not None
    if source.hub_id is None:
        return convert(Path(source.file).expanduser(), source.file)
    file = cached_file(source.hub_id, source.file, revision)
    if file is None:
        file = fetch(source.name, source.hub_id, revision, (glob.escape(source.file),)) / source.file
    convert(file, source.file)


def cached_snapshot(hub_id: str, revision: str | None) -> Path | None:
    """The folder of a hub model in the local cache, complete or not."""
    index = cached_file(hub_id, "model_index.json", revision)
    return index.parent if index else None


def cached_file(hub_id: str, file: str, revision: str | None) -> Path | None:
    """A file of a hub model in the local cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(hub_id, file, revision=revision)
    except HFValidationError as error:
        raise UserError(f"{hub_id!r} is not a hub id: it looks like owner/name") from error
    return Path(path) if isinstance(path, str) else None
