"""From a model's name to its folder on this machine: presets, hub ids and local folders."""

import errno
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.folder import (
    PipelineFolder,
    default_size,
    folder_digest,
    read_folder,
    read_layout,
    require_complete,
)
from dsfactory.models.presets import BUNDLED, PRESETS, Defaults, Preset, nearest_preset

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_ELSEWHERE = "use --model pocket, which comes with dsfactory, or --model FOLDER with a diffusers pipeline"


@dataclass(frozen=True)
class Model:
    """A complete model on this machine.

    Attributes:
        name: the preset's name, the hub id, or the folder's name.
        path: the pipeline's folder.
        layout: what the folder holds.
        preset: the preset that was asked for, if one was.
        commit: the hub's commit; None for local folders and the bundled model.
    """

    name: str
    path: Path
    layout: PipelineFolder
    preset: Preset | None = None
    commit: str | None = None

    @property
    def defaults(self) -> Defaults:
        """How it is drawn with unless the user says otherwise; never with an open size."""
        own = self.preset.defaults if self.preset else Defaults()
        if own.width is not None:
            return own
        width, height = default_size(self.path)
        return Defaults(width, height, own.steps, own.guidance, own.scheduler, own.negative_prompt)

    def identity(self) -> dict[str, Any]:
        """What tells this model from any other, as JSON values: hub id and commit, or a hash of the folder.

        The place on disk is no part of it, so a copy of a folder is the same model.
        """
        if self.commit is not None:
            source = self.preset.source if self.preset else self.name
            return {"model": source, "commit": self.commit, "variant": self.layout.variant}
        return {"model": self.name, "content": folder_digest(self.path, self.layout)}


@dataclass(frozen=True)
class Source:
    """Where a name points to, before anything is looked up: a folder, or a hub id."""

    name: str
    folder: Path | None
    hub_id: str | None
    preset: Preset | None


def resolve_name(name: str) -> Source:
    """Tell presets, folders and hub ids apart.

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
        raise UserError(f"--model {name} is a file: give the folder of a diffusers pipeline")
    if _HUB_ID.fullmatch(name):
        return Source(name, None, name, None)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"--model {name} is not there: give the folder of a diffusers pipeline")
    near = nearest_preset(name)
    advice = f"did you mean '{near}'? " if near else ""
    raise UserError(
        f"there is no model {name[:80]!r}: {advice}use {', '.join(PRESETS)}, a hub id such as owner/name, "
        "or the folder of a diffusers pipeline"
    )


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
            raise UserError(f"--revision is for hub models, and {name} is a folder")
        layout = read_folder(source.folder, name)
        require_complete(layout, name)
        return Model(source.name, source.folder, layout, source.preset)
    snapshot = cached_snapshot(str(source.hub_id), revision)
    if snapshot is None:
        return None
    layout = read_folder(snapshot, name)
    if layout.missing:
        return None
    return Model(source.name, snapshot, layout, source.preset, commit=snapshot.name)


def locate_model(name: str, revision: str | None = None, allow_download: bool = True) -> Model:
    """A model on this machine, fetched from the hub first if it has to be and may be.

    What is complete on disk is used as it is, without asking the hub for anything newer.

    Args:
        name: preset, hub id (``owner/name``) or folder.
        revision: branch, tag or commit of a hub model.
        allow_download: whether a hub model that is not on disk may be fetched.

    Raises:
        UserError: unknown name; a pipeline that is not supported, incomplete or pickled; a hub that cannot be
            reached or refuses; no space.
    """
    model = find_model(name, revision)
    if model is not None:
        return model
    if not allow_download:
        raise UserError(f"model {name} is not on this machine: {_ELSEWHERE}")
    _download(resolve_name(name), revision)
    model = find_model(name, revision)
    if model is None:
        raise UserError(f"model {name} is still incomplete after its download: run the command again, or {_ELSEWHERE}")
    return model


def cached_snapshot(hub_id: str, revision: str | None) -> Path | None:
    """The folder of a hub model in the local cache, complete or not."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        index = try_to_load_from_cache(hub_id, "model_index.json", revision=revision)
    except HFValidationError as error:
        raise UserError(f"{hub_id!r} is not a hub id: it looks like owner/name") from error
    return Path(index).parent if isinstance(index, str) else None


def _download(source: Source, revision: str | None) -> None:
    """Fetch exactly the files that loading needs into the hub's cache."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import DryRunError, GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    hub_id = str(source.hub_id)
    if not sys.stderr.isatty():
        disable_progress_bars()
    _limit_silence()
    try:
        # Listing comes first: unlike a download it does not retry for half a minute where there is no network.
        listed = {file.filename: file for file in snapshot_download(hub_id, revision=revision, dry_run=True)}
        if "model_index.json" not in listed:
            raise UserError(f"model {hub_id} is not a diffusers pipeline: it has no model_index.json")
        index = Path(hf_hub_download(hub_id, "model_index.json", revision=revision))
        layout = read_layout(json.loads(index.read_text(encoding="utf-8")), listed, source.name)
        require_complete(layout, source.name)
        needed = sum(listed[name].file_size or 0 for name in layout.files if listed[name].will_download)
        _require_space(index.parent, needed, source.name)
        print(f"Fetching model {source.name} from the hub: {needed / 1e6:,.0f} MB", file=sys.stderr, flush=True)
        snapshot_download(hub_id, revision=revision, allow_patterns=list(layout.files))
    except GatedRepoError as error:
        raise UserError(
            f"model {hub_id} wants you to agree to its terms: do so at https://huggingface.co/{hub_id}, "
            "then run 'hf auth login'"
        ) from error
    except (DryRunError, LocalEntryNotFoundError) as error:
        raise UserError(_why_unlisted(source, revision, error.__cause__)) from error
    except HfHubHTTPError as error:
        raise UserError(f"the hub did not give model {hub_id} ({error.response.status_code}): {_ELSEWHERE}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(f"no space left while fetching model {source.name}: free some, or set HF_HOME") from error
        raise UserError(
            f"fetching model {source.name} broke off ({type(error).__name__}): run the command again"
        ) from error


def _limit_silence() -> None:
    """Bound every wait for the hub by HF_HUB_DOWNLOAD_TIMEOUT: asking what a model is would else wait for ever."""
    from huggingface_hub import constants, get_session

    def bound(request: Any) -> None:
        given = request.extensions.get("timeout", {})
        parts = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = {part: given.get(part) or constants.HF_HUB_DOWNLOAD_TIMEOUT for part in parts}

    session = get_session()
    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [*hooks["request"], bound]}


def _why_unlisted(source: Source, revision: str | None, cause: BaseException | None) -> str:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(cause, RevisionNotFoundError):
        return f"model {source.hub_id} has no revision {revision!r}"
    if isinstance(cause, RepositoryNotFoundError):
        return f"the hub has no model {source.hub_id} (or it is private: run 'hf auth login'): {_ELSEWHERE}"
    return f"model {source.name} is not on this machine and the model hub cannot be reached: {_ELSEWHERE}"


def _require_space(folder: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(os.path.realpath(folder)).free
    if free < needed:
        raise UserError(
            f"model {name} needs {needed / 1e9:.1f} GB and the model cache's disk has {free / 1e9:.1f} GB free: "
            "free some, or set HF_HOME to another disk"
        )
