"""What is known of a model without loading it: the lines of ``dsfactory models list`` and ``models check``."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsfactory.models.folder import PipelineFolder, read_folder
from dsfactory.models.locate import cached_snapshot, locate_model, resolve_name
from dsfactory.models.presets import PRESETS


@dataclass(frozen=True)
class ModelReport:
    """What is known of a model.

    Attributes:
        name: as it was asked for.
        source: ``"comes with dsfactory"``, the hub id, or the folder.
        family: ``"sd"``, ``"sdxl"``, ``"sd3"`` or ``"flux"``; None for a hub model that was never fetched.
        draws: what its pictures look like; None for models without a preset.
        licence: name of the weights' licence; None when it is not known here (the model's page says it).
        licence_url: where to read it.
        path: its folder on this machine, complete or not.
        ready: whether it can be drawn with now, without network.
        missing: files that are not on this machine; of a model that was never fetched nothing is known.
        pickled: weights that are there only in a format which can run code, and are refused.
        size_mb: size on disk when ready, else what has to be downloaded; None when that is not known.
        commit: the hub commit on this machine.
    """

    name: str
    source: str
    family: str | None
    draws: str | None
    licence: str | None
    licence_url: str | None
    path: Path | None
    ready: bool
    missing: tuple[str, ...]
    pickled: tuple[str, ...]
    size_mb: int | None
    commit: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"path": str(self.path) if self.path else None}


def list_models() -> list[ModelReport]:
    """A report per preset; no network."""
    return [check_model(name) for name in PRESETS]


def check_model(name: str, revision: str | None = None) -> ModelReport:
    """What is known of a model on this machine; no network.

    Raises:
        UserError: the name means nothing, or the folder is no supported pipeline.
    """
    source = resolve_name(name)
    preset = source.preset
    if source.folder is not None:
        path: Path | None = source.folder
        origin = "comes with dsfactory" if preset else str(source.folder)
    else:
        path = cached_snapshot(str(source.hub_id), revision)
        origin = str(source.hub_id)
    layout: PipelineFolder | None = None
    if path is not None and (preset is None or not preset.bundled or (path / "model_index.json").exists()):
        layout = read_folder(path, name)
    ready = layout is not None and not layout.missing
    size = None if preset is None or not preset.size_mb else preset.size_mb
    if path is not None and layout is not None and ready:
        size = round(sum((path / file).stat().st_size for file in layout.files) / 1e6)
    return ModelReport(
        name=name,
        source=origin,
        family=layout.family if layout else preset.family if preset else None,
        draws=preset.draws if preset else None,
        licence=preset.licence if preset else None,
        licence_url=preset.licence_url or None if preset else None,
        path=path,
        ready=ready,
        missing=layout.missing if layout else (),
        pickled=layout.pickled if layout and layout.missing else (),
        size_mb=size,
        commit=path.name if path is not None and source.hub_id is not None else None,
    )


def model_identity(name: str, revision: str | None = None, allow_download: bool = True) -> dict[str, Any]:
    """What tells a model from any other, for fingerprints: hub id and commit, or a hash of the folder's content.

    Cheap once the model is on disk: small files and samples of large ones are read, nothing is loaded. A
    hub model that is not on disk is fetched first, for only then its commit is known.

    Raises:
        UserError: see :func:`dsfactory.models.locate.locate_model`.
    """
    return locate_model(name, revision, allow_download).identity()
