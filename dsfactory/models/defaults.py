"""How a model without a preset is drawn with: what its own repository says."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsfactory.models.folder import PipelineFolder, default_size, read_config
from dsfactory.models.known import known_by_name, known_model
from dsfactory.models.presets import Defaults

ORIGIN = "dsfactory_model.json"
"""In a folder that ``models fetch --to`` made: which hub model it is."""

_STEPS = re.compile(r"num_inference_steps\s*=\s*(\d{1,3})\b")
_GUIDANCE = re.compile(r"guidance_scale\s*=\s*(\d{1,2}(?:\.\d+)?)\b")
_USUAL = {
    "zimage": Defaults(steps=8, guidance=0.0),
    "qwen": Defaults(steps=50, guidance=4.0),
    "pixart": Defaults(steps=20, guidance=4.5),
    "sana": Defaults(steps=2, guidance=4.5),
}
"""Of families that are not drawn with as Stable Diffusion is."""

_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+)")


def origin(path: Path) -> str | None:
    """The hub id of the model in a folder, as far as the folder tells: one that was fetched, cloned or saved again."""
    for name, key in ((ORIGIN, "model"), ("model_index.json", "_name_or_path")):
        said = _read(path / name).get(key)
        if isinstance(said, str) and (name == ORIGIN or known_model(said)):
            return said
    place = path.resolve()
    if cached := _CACHED.fullmatch(place.parent.parent.name):
        return f"{cached[1]}/{cached[2]}"
    return known_by_name(place.name)


def repository_defaults(path: Path, layout: PipelineFolder, card: bool) -> Defaults:
    """Size, steps and guidance by a pipeline's own files; the scheduler is its own.

    Distilled models are told by their configuration. Of others, the example on the model's card names steps and
    guidance; where there is none, they are those of the family.

    Args:
        path: the pipeline's folder.
        layout: what it holds.
        card: whether its ``README.md`` counts.
    """
    width, height = default_size(path)
    usual = replace(_USUAL.get(layout.family, Defaults()), width=width, height=height)
    if layout.family == "flux":
        guided = read_config(path / "transformer").get("guidance_embeds")
        return replace(usual, steps=28, guidance=3.5) if guided else replace(usual, steps=4, guidance=0.0)
    if layout.family == "flux2":
        distilled = _read(path / "model_index.json").get("is_distilled")
        return replace(usual, steps=4, guidance=1.0) if distilled else replace(usual, steps=50, guidance=4.0)
    if layout.family == "sd" and read_config(path / "unet").get("time_cond_proj_dim"):
        return replace(usual, steps=4, guidance=8.5)  # a latent consistency model: guidance is a number that it reads
    scheduler = _read(path / "scheduler" / "scheduler_config.json")
    if scheduler.get("_class_name") == "LCMScheduler":
        return replace(usual, steps=8, guidance=1.5)
    turbo = scheduler.get("timestep_spacing") == "trailing" and not scheduler.get("rescale_betas_zero_snr")
    if turbo and scheduler.get("_class_name") == "EulerAncestralDiscreteScheduler":
        return replace(usual, steps=4, guidance=0.0)
    text = (path / "README.md").read_text(errors="replace") if card and (path / "README.md").is_file() else ""
    steps, guidance = _STEPS.search(text), _GUIDANCE.search(text)
    return replace(
        usual,
        steps=max(1, int(steps[1])) if steps else usual.steps,
        guidance=float(guidance[1]) if guidance else usual.guidance,
    )


def _read(path: Path) -> dict[str, Any]:
    """A small JSON file; empty when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
