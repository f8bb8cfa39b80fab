"""What is known of a model without loading it: the lines of ``dsfactory models list`` and ``models check``."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.defaults import origin
from dsfactory.models.folder import PipelineFolder, default_size, read_folder
from dsfactory.models.known import known_model
from dsfactory.models.locate import cached_snapshot, find_model, locate_model, resolve_name
from dsfactory.models.memory import OFFLOADS, Offload, gpu_gb, network_billions
from dsfactory.models.presets import PRESETS


@dataclass(frozen=True)
class ModelReport:
    """What is known of a model.

    Attributes:
        name: as it was asked for.
        source: ``"comes with dsfactory"``, the hub id, or the folder.
        family: a name of :data:`dsfactory.models.families.FAMILIES`; None for a hub model that was never fetched.
        draws: what its pictures look like; None for models without a preset.
        licence: name of the weights' licence; None when it is not known here (the model's page says it).
        licence_url: where to read it.
        path: its folder on this machine, complete or not.
        ready: whether it can be drawn with now, without network.
        missing: files that are not on this machine; of a model that was never fetched nothing is known.
        pickled: weights that are there only in a format which can run code, and are refused.
        size_mb: size on disk when ready, else what has to be downloaded; None when that is not known.
        commit: the hub commit on this machine.
        gated: whether its terms have to be agreed to on its page first; None when that is not known here.
        gpu_gb: GPU memory for one image of its default size, in GB, reckoned; None when nothing is known.
        offloaded_gb: the same with ``generate.offload``, by its values.
        damaged: the line about a file that cannot be read.
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
    gated: bool | None
    gpu_gb: int | None
    offloaded_gb: dict[Offload, int]
    damaged: str | None

    def fits(self, there_gb: float) -> str:
        """What a GPU's free memory is enough for, in words."""
        ways = {"none": self.gpu_gb, **self.offloaded_gb}
        fitting = next((way for way, gb in ways.items() if gb is not None and gb <= there_gb), None)
        return f"{there_gb:.0f} GB are free: " + (f"generate.offload={fitting} fits" if fitting else "too few")

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
    path: Path | None
    if source.file is not None:
        model = find_model(name, revision)
        path = model.path if model else None
        place = source.hub_id or source.file
    elif source.folder is not None:
        path = source.folder
        place = "comes with dsfactory" if preset else str(source.folder)
    else:
        path = cached_snapshot(str(source.hub_id), revision or source.revision)
        place = str(source.hub_id)
    layout: PipelineFolder | None = None
    if path is not None and (preset is None or not preset.bundled or (path / "model_index.json").exists()):
        layout = read_folder(path, name)
    hub_id = (source.hub_id if source.file is None else None) or (
        origin(path) if path is not None and not preset else None
    )
    known = known_model(hub_id) if hub_id else None
    size = preset.size_mb or None if preset else None
    billions, damaged = preset.billions if preset else None, None
    ready = path is not None and layout is not None and not layout.missing
    if path is not None and layout is not None and ready:
        size = round(sum((path / file).stat().st_size for file in layout.files) / 1e6)
        try:
            billions = network_billions(path, layout.files)
        except UserError as error:
            ready, damaged = False, str(error)
    width, height = preset.defaults.width if preset else None, preset.defaults.height if preset else None
    if path is not None and ready and width is None:
        width, height = default_size(path)
    memory = {way: gpu_gb(billions, width, height, way) for way in OFFLOADS} if billions and width and height else {}
    return ModelReport(
        name=name,
        source=place,
        family=layout.family if layout else preset.family if preset else None,
        draws=preset.draws if preset else None,
        licence=preset.licence if preset else known.licence if known else None,
        licence_url=preset.licence_url or None if preset else None,
        path=path,
        ready=ready,
        missing=layout.missing if layout else (),
        pickled=layout.pickled if layout and layout.missing else (),
        size_mb=size,
        commit=path.name if path is not None and source.hub_id is not None and source.file is None else None,
        gated=known.gated if known else False if source.folder is not None else None,
        gpu_gb=memory.get("none"),
        offloaded_gb={way: memory[way] for way in OFFLOADS[1:] if way in memory},
        damaged=damaged,
    )


def model_identity(name: str, revision: str | None = None, allow_download: bool = True) -> dict[str, Any]:
    """What tells a model from any other, for fingerprints: hub id and commit, or a hash of the folder's content.

    Cheap once the model is on disk: small files and samples of large ones are read, nothing is loaded. A
    hub model that is not on disk is fetched first, for only then its commit is known.

    Raises:
        UserError: see :func:`dsfactory.models.locate.locate_model`.
    """
    return locate_model(name, revision, allow_download).identity()
