"""Copies of given images among the samples, found once per run: ``copies.json`` in the filter's folder."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dsfactory.core.run import Run
from dsfactory.core.stage import Reporter
from dsfactory.dataset.pictures import look_at, read_file
from dsfactory.embed.cache import Embedded, FeatureCache
from dsfactory.embed.copies import LIKENESS, find_copies
from dsfactory.stages.annotate.images import find_images
from dsfactory.stages.filter.files import COPIES
from dsfactory.stages.filter.plan import Plan
from dsfactory.storage.atomic import write_atomic

BLOCK = 50_000
"""References that are in memory at a time: 280 MB."""


def read_copies(folder: Path, plan: Plan) -> dict[str, str] | None:
    """What was found, if it was found of the plan's samples and folder; None when it is to be looked for.

    Returns:
        For each copy its key, and in words what it is a copy of.
    """
    found = _read(folder)
    return found["copies"] if found is not None and found["of"] == _of(plan) else None


def found_copies(folder: Path) -> dict[str, str]:
    """What was found when the filter was made."""
    found = _read(folder)
    return found["copies"] if found is not None else {}


def copies_mark(folder: Path) -> str:
    """Hash of what was found; empty where nothing was looked for."""
    found = _read(folder)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32] if found is not None else ""


def copies_of(plan: Plan, run: Run, images: str, report: Reporter, keep: bool = True) -> dict[str, str]:
    """Look for copies.

    Args:
        plan: the samples, and the folder in its settings.
        run: the run.
        images: folder of the stage that made the images.
        report: told about progress.
        keep: features may be kept in the run.

    Raises:
        UserError: there is no image in the folder.
    """
    folder = Path(plan.config.avoid or "")
    names = find_images(folder, run.path)
    cache = FeatureCache(run, images, keep=keep)
    place: dict[str, tuple[str, int]] = {}
    shards = cache.of_run(report)
    for name, (spec, _) in shards.items():
        place |= {run.key(number): (name, number - spec.start) for number in range(spec.start, spec.stop)}
    own = [(shards[place[sample.key][0]][1], place[sample.key][1]) for sample in plan.samples]

    def blocks() -> Iterator[Embedded]:
        for start in range(0, len(names), BLOCK):
            paths = [folder / name for name in names[start : start + BLOCK]]
            said = f"avoid-{start // BLOCK}"
            yield cache.of_images(said, paths, lambda path: look_at(read_file(path)).pixels, report, said)

    found = find_copies(Embedded.of([one.row(number) for one, number in own]), blocks(), report)
    return {
        sample.key: f"it is a copy of {names[copy.reference]} in {folder} (likeness {copy.likeness:.2f})"
        for sample, copy in zip(plan.samples, found, strict=True)
        if copy is not None and copy.likeness >= LIKENESS
    }


def write_copies(folder: Path, plan: Plan, found: Mapping[str, str]) -> None:
    """Write what was found in one visible step."""
    content = {"of": _of(plan), "copies": dict(sorted(found.items()))}
    write_atomic(folder / COPIES, json.dumps(content, indent=0).encode())


def _of(plan: Plan) -> list[str]:
    return [plan.judged, plan.config.avoid or ""]


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / COPIES).read_bytes())
        return found if isinstance(found["copies"], dict) and isinstance(found["of"], list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
