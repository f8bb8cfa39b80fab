"""How far a run is from real images, without training: ``dsfactory evaluate --sets``."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.evaluate.sources import TrainingSet
from dsfactory.jobs.evaluate import FOLDER, read_sets
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import Progress
from dsfactory.runner.signals import check_stop
from dsfactory.segment.config import BUNDLED
from dsfactory.storage.atomic import make_folder, write_atomic
from dsfactory.storage.disk import disk_errors

TURNS = 20
"""Random parts over which a distance is repeated."""
SHOWN, TILE = 10, 96
"""Images in a row of the picture of what is unlike, and their side in pixels."""

LOOKED = 128
"""Longer side in pixels at which labels are looked at: more would not fit into memory for large sets."""

Table = dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class SetsFound:
    """What was measured.

    Attributes:
        images: distances of images by name: mean and 95 % interval of synthetic against real.
        floor: the same of real against real.
        by_class: the same of images that show a class, for classes with enough of them.
        labels: distances of labels by name, synthetic against real.
        labels_floor: the same of one half of the real ones against the other.
        counts: images of each set, and of each part that was compared.
        out: folder of ``sets.json``, ``sets.md`` and ``unlike.png``.
        notes: what a person should know.
    """

    images: Table
    floor: Table
    by_class: dict[str, Table]
    labels: dict[str, float]
    labels_floor: dict[str, float]
    counts: dict[str, int]
    out: Path
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "out": str(self.out)}

    def to_markdown(self) -> str:
        """A table of everything."""
        lines = ["| images | synthetic against real | real against real |", "| --- | --- | --- |"]
        for name, value in self.images.items():
            lines.append(f"| {name} | {_shown(value)} | {_shown(self.floor[name])} |")
        lines += ["", "| labels | synthetic against real | real against real |", "| --- | --- | --- |"]
        lines += [f"| {name} | {value:.3f} | {self.labels_floor[name]:.3f} |" for name, value in self.labels.items()]
        for name, table in self.by_class.items():
            shown = ", ".join(f"{one} {value[0]:.3f}" for one, value in table.items())
            lines.append(f"\n{name}: {shown}")
        return "\n".join(lines) + "\n"


def sets_job(
    run_path: Path, real: Path, progress: Progress, synthetic: Path | None = None, without: Collection[str] = (),
    out: Path | None = None, seed: int = 0, features: str = BUNDLED,
) -> SetsFound:  # fmt: skip
    """Measure how far the images and labels of a run are from real ones.

    Parts of equal size are compared, for most distances depend on it, and the real set with itself: that is the floor
    below which no set can be.

    Args:
        run_path, real, synthetic, without, out: as for :func:`dsfactory.jobs.evaluate.evaluate_job`.
        progress: who is told.
        seed: of the parts.
        features: see :func:`dsfactory.embed.network.embedder`.

    Raises:
        UserError: as there, or fewer than 20 images on a side.
    """
    from dsfactory.evaluate.sets import LEAST, label_distances, label_facts, nearest_distances, repeated

    target = out if out is not None else run_path / FOLDER
    with disk_errors(target, "nothing was written"), Run.open(run_path).lock(), run_log(run_path, "sets") as ended:
        run = Run.open(run_path)
        sets, test = read_sets(run, real, progress, synthetic, without)
        made = _look(sets["synthetic"], "synthetic", features, progress)
        there = _joined(_look(sets["real"], "train", features, progress), _look(test, "val", features, progress))
        size = min(len(made.labels), len(there.labels) // 2)
        if size < 10:
            raise UserError(
                f"{len(made.labels)} synthetic and {len(there.labels)} real images are too few to compare: 10 and 20 "
                "are the least"
            )
        notes = [] if size >= LEAST else [f"no Fréchet distance: it takes {LEAST} images a side, there are {size}"]
        by_class: dict[str, Table] = {}
        for number, item in enumerate(run.manifest.classes, start=1):
            check_stop()
            rows = [[place for place, mask in enumerate(one.labels) if (mask == number).any()] for one in (there, made)]
            least = min(len(rows[0]) // 2, len(rows[1]))
            if least >= LEAST:
                parts = there.features[rows[0]], made.features[rows[1]]
                by_class[item.name] = repeated(*parts, least, TURNS // 4, seed)
        halves = [label_facts(there.labels[start::2]) for start in (0, 1)]
        found = SetsFound(
            repeated(there.features, made.features, size, TURNS, seed),
            repeated(there.features, None, size, TURNS, seed),
            by_class,
            label_distances(label_facts(there.labels), label_facts(made.labels)),
            label_distances(*halves),
            {"synthetic": len(made.labels), "real": len(there.labels), "compared": size},
            target,
            notes,
        )
        odd = np.argsort(-nearest_distances(made.features, there.features))[:SHOWN]
        alone = np.argsort(-nearest_distances(there.features, made.features))[:SHOWN]
        make_folder(target)
        write_atomic(target / "sets.json", json.dumps(found.as_json(), indent=1, ensure_ascii=False).encode())
        write_atomic(target / "sets.md", found.to_markdown().encode())
        write_atomic(
            target / "unlike.png", _sheet([made.tiles[place] for place in odd], [there.tiles[i] for i in alone])
        )
        ended |= {"exit_code": 0}
        return found


@dataclass(frozen=True)
class _Looked:
    features: Any
    labels: list[Any]
    tiles: list[Any]


def _look(images: TrainingSet, name: str, features: str, progress: Progress) -> _Looked:
    """Features, labels and small pictures of a set."""
    import cv2

    from dsfactory.embed.network import embedder

    network = embedder(features)
    rows, labels, tiles = [], [], []
    progress.begin(f"looking at {name}", len(images.images), 0, "images")
    for place in range(len(images.images)):
        check_stop()
        pixels, mask = images.images[place]
        rows.append(network(pixels))
        height, width = mask.shape
        scale = min(1.0, LOOKED / max(height, width))
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        labels.append(cv2.resize(mask, sides, interpolation=cv2.INTER_NEAREST))
        tiles.append(cv2.resize(pixels, (TILE, TILE), interpolation=cv2.INTER_AREA))
        progress.advance()
    return _Looked(np.stack(rows), labels, tiles)


def _joined(one: _Looked, two: _Looked) -> _Looked:
    return _Looked(np.concatenate([one.features, two.features]), one.labels + two.labels, one.tiles + two.tiles)


def _sheet(odd: list[Any], alone: list[Any]) -> bytes:
    """Two rows: synthetic images that are least like a real one, real ones that no synthetic image is near."""
    import io

    sheet = np.full((2 * TILE, SHOWN * TILE, 3), 255, np.uint8)
    for row, tiles in enumerate((odd, alone)):
        for place, tile in enumerate(tiles):
            sheet[row * TILE : (row + 1) * TILE, place * TILE : (place + 1) * TILE] = tile
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG")
    return buffer.getvalue()


def _shown(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"
