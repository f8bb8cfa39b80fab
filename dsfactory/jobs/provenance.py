"""What an export says of where a run's samples come from, as the run itself has it."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dsfactory import __version__
from dsfactory.core.run import Run
from dsfactory.formats.provenance import Provenance
from dsfactory.jobs.settings import not_default, run_config
from dsfactory.models.known import known_model
from dsfactory.models.presets import PRESETS, Preset
from dsfactory.stages import STAGES
from dsfactory.stages.generate.config import GenerateConfig

_SPDX = {"Apache-2.0", "MIT"}
"""Licences of known models that are on the SPDX list; others are references, as SPDX writes them."""

_FOLDERS = re.compile(r"(?<![\w:/])/(?:[^/\s'\"\]]+/)+")
"""The folders of an absolute path, which are nobody's business."""


def provenance_of(run_path: Path, given: bool, adopted: str = "", without: Collection[str] = ()) -> Provenance:
    """What all samples of a run have in common.

    Args:
        run_path: the run.
        given: the images are somebody's own, and the model labelled them.
        adopted: the stage that brought images with their labels: no model of the run had a hand in them.
        without: names of stages that do not count.
    """
    run, config = Run.open(run_path), run_config(run_path)
    begun = [item for item in STAGES.begun(run) if item.kind.name not in without]
    identity: dict[str, Any] = next((item.state.identity for item in begun if "model" in item.state.identity), {})
    generate = config.of(GenerateConfig)
    name = adopted or (Path(generate.model).name if Path(generate.model).is_absolute() else generate.model)
    model = identity.get("model", {})
    preset = PRESETS.get(name) if not adopted else None
    page = str(model.get("model", name)) if "commit" in model else preset.source if preset else ""
    licence, url = _licence(preset, page) if not adopted else ("LicenseRef-terms-of-the-pictures", "")
    settings = [("brought by" if adopted else "model", name), ("seed", str(config.seed))]
    settings += [
        (key, str(identity[key]))
        for key in ("width", "height", "steps", "guidance", "scheduler", "negative_prompt")
        if identity.get(key) is not None
    ]
    settings += [
        (key, value)
        for key, _, value in (
            _FOLDERS.sub("…/", text).partition("=")
            for text in not_default(config, [item.kind.name for item in begun])
            if not text.endswith("…")
        )
        if key.partition(".")[2] not in dict(settings)
    ]
    return Provenance(
        model=name,
        page=page,
        revision=str(model.get("commit") or model.get("content") or ""),
        licence=licence,
        licence_url=url,
        adapters=tuple(_FOLDERS.sub("", text) for text in (*generate.lora, *generate.embedding)),
        steps=None if given else identity.get("steps"),
        guidance=None if given else identity.get("guidance"),
        settings=tuple(settings),
        quality=_quality(run_path),
        version=__version__,
    )


def _licence(preset: Preset | None, page: str) -> tuple[str, str]:
    """A model's licence as an SPDX identifier, and where it can be read."""
    known = known_model(page) if "/" in page else None
    text = preset.licence if preset else known.licence if known else ""
    url = preset.licence_url if preset else f"https://huggingface.co/{page}" if "/" in page else ""
    if text in _SPDX:
        return text, url
    return f"LicenseRef-{re.sub(r'[^A-Za-z0-9.]+', '-', text.replace('++', '-plus-plus')).strip('-') or 'unknown'}", url


def _quality(run_path: Path) -> tuple[str, ...]:
    """What ``dsfactory evaluate`` found, in a sentence."""
    nothing = ("Not measured: 'dsfactory evaluate' trains a network on it and tests that on real pictures.",)
    try:
        found = json.loads((run_path / "evaluate" / "results.json").read_bytes())
        scores = [float(found[name]) for name in ("miou_synthetic", "miou_real")]
        count = int(found["val_images"])
    except (OSError, ValueError, KeyError, TypeError):
        return nothing
    return (
        f"A network trained on the run reaches {scores[0]:.3f} mIoU on {count} real pictures; one trained on real "
        f"labels reaches {scores[1]:.3f} (dsfactory evaluate).",
    )
