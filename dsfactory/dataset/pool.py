"""The kept samples of a run, read in any order: what stages draw from that make new samples of them."""

import hashlib
import json
import math
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsfactory.core.chain import Input
from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png, encode_index_png, encode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK, VOID, Record
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.dataset.corrections import Corrections, corrected_labels
from dsfactory.dataset.label_faults import Labels
from dsfactory.dataset.labels import check_labels, finished_shards
from dsfactory.errors import DamagedShard, UserError
from dsfactory.storage.remote import open_stored

COMPOSED = pa.schema(
    [
        ("key", pa.string()),
        ("number", pa.int64()),
        ("sources", pa.list_(pa.string())),
        ("image_seed", pa.int64()),
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("classes", pa.list_(pa.string())),
        ("area", pa.list_(pa.float32())),
        ("components", pa.list_(pa.int32())),
        ("void", pa.float32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
"""Columns of a sample that is made of others. ``sources`` are their keys; ``classes`` are those in the mask, with their
share of the image in ``area`` and their number of objects in ``components``; ``void`` is the share that is ignored."""


@dataclass(frozen=True)
class Source:
    """A kept sample.

    Attributes:
        key: its key in the run.
        shard: the shard it is in.
        classes: positions in the run's class list of those that its mask holds.
    """

    key: str
    shard: ShardSpec
    classes: tuple[int, ...]


class SamplePool:
    """Kept samples of a run.

    Args:
        run: the run; every shard of its labels is finished.
        images: folder of the stage that made the images.
        labels: folder of the stage whose masks count.
        classes: the run's class names in label order.
        taken: whether the sample with a key may be used.
        corrected: class mask and instances (PNG) of samples that a person corrected, by key; they win over the
            stage's. None for a sample whose labels were all taken away.

    Attributes:
        samples: in the order of their keys.
        corrected: as it was given.
        by_class: for each class of the run, the positions in ``samples`` of those that show it.
        model: who made the images.
        shape: height and width of the first sample's image in pixels.
        object_side: median of the labelled objects' sizes, each the side in pixels of a square as large; None where no
            stage has measured them.

    Raises:
        DamagedShard: a row table cannot be read.
    """

    def __init__(
        self,
        run: Run,
        images: str,
        labels: str,
        classes: Sequence[str],
        taken: Callable[[str], bool],
        corrected: Mapping[str, tuple[bytes, bytes] | None],
    ) -> None:
        self._run, self._images, self._labels, self.corrected = run, images, labels, corrected
        self._indices: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}
        self.samples: list[Source] = []
        self.model = ""
        self.shape = (0, 0)
        sides: list[float] = []
        positions = {name: position for position, name in enumerate(classes)}
        for spec in run.shards():
            for row in run.reader(labels, spec).rows:
                key = row["key"]
                self.model = row.get("model", "")
                if not taken(key):
                    continue
                if key in corrected:
                    files = corrected[key]
                    if files is not None:
                        values = np.unique(decode_index_png(files[0]))
                        shown = tuple(int(value) - 1 for value in values if 0 < value <= len(classes))
                        sides += _sides(decode_index_png(files[1]))
                        self._add(Source(key, spec, shown), row)
                elif row["status"] == "ok":
                    areas = row.get("area") or [1.0] * len(row["classes"])  # not every stage measures them
                    pairs = zip(row["classes"], areas, strict=True)
                    shown = tuple(positions[name] for name, area in pairs if area > 0)
                    pixels = row["height"] * row["width"]
                    counts = zip(areas, row.get("components") or (), strict=False)
                    sides += [math.sqrt(area * pixels / count) for area, count in counts if count]
                    self._add(Source(key, spec, shown), row)
        self.object_side = float(np.median(sides)) if sides else None
        self.by_class = [
            np.array([index for index, source in enumerate(self.samples) if position in source.classes], dtype=np.int64)
            for position in range(len(classes))
        ]

    def _add(self, source: Source, row: Mapping[str, Any]) -> None:
        if not self.samples:
            self.shape = (row["height"], row["width"])
        self.samples.append(source)

    def __len__(self) -> int:
        return len(self.samples)

    def files(self, index: int) -> tuple[bytes, bytes, bytes]:
        """A sample's image, class mask and instances as PNGs.

        Raises:
            DamagedShard: its shard cannot be read.
        """
        source = self.samples[index]
        labels = self.corrected.get(source.key)
        mask, instances = labels or (self._file(self._labels, source, name) for name in (MASK, INSTANCES))
        return self._file(self._images, source, IMAGE), mask, instances

    def place(self, index: int) -> str:
        """Where a sample's labels are, for an error."""
        source = self.samples[index]
        return f"{self._labels}/{source.shard.name}: sample {source.key}"

    def _file(self, folder: str, source: Source, name: str) -> bytes:
        path = self._run.stage_folder(folder) / source.shard.tar
        place = (folder, source.shard.index)
        if place not in self._indices:
            self._indices[place] = _index(self._run.reader(folder, source.shard), path)
        try:
            start, size = self._indices[place][f"{source.key}.{name}"]
        except KeyError:
            raise DamagedShard(f"{path}: sample {source.key} has no {name}") from None
        with open_stored(path, keep=True) as file:
            file.seek(start)
            return file.read(size)


def open_pool(
    run_path: Path,
    inputs: Sequence[Input],
    classes: Sequence[ClassSpec],
    taken: Callable[[str], bool] = lambda key: True,
) -> SamplePool:
    """What a run offers to a stage that reads IMAGE and LABEL.

    Args:
        run_path: the run.
        inputs: the stages of its images and of its labels, or the one of both:
            :attr:`dsfactory.core.stage.Stage.inputs`.
        classes: the run's classes.
        taken: whether the sample with a key may be used.

    Raises:
        UserError: the run's labels are not finished.
        DamagedShard: a row table cannot be read.
    """
    run, images, labels = Run.open(run_path), inputs[0], inputs[-1]
    check_labels(run, images, labels)
    left = len(run.shards()) - len(finished_shards(run, labels.kind.folder))
    if left:
        raise UserError(
            f"{run.path}: {left} of {len(run.shards())} shards have no labels yet: run 'dsfactory {labels.kind.name} "
            f"{run.path}' to the end first"
        )
    corrected = corrected_labels(run, images.kind.folder, Corrections.of(run_path))
    names = [item.name for item in classes]
    return SamplePool(run, images.kind.folder, labels.kind.folder, names, taken, corrected)


def pool_fingerprint(run_path: Path, inputs: Sequence[Input]) -> str:
    """Hash of what :func:`open_pool` offers: which samples are kept, their images and their labels.

    Reads no more than the shards' done-marks.

    Raises:
        DamagedShard: one of them cannot be read.
    """
    marks = []
    run, images, labels = Run.open(run_path), inputs[0].kind.folder, inputs[-1].kind.folder
    corrected = Corrections.of(run_path).fingerprint
    for spec in run.finished(labels):
        mark, drawn = run.reader(labels, spec).mark, run.reader(images, spec).mark
        marks.append([mark.fingerprint, mark.rows_sha256, mark.tar_sha256, drawn.fingerprint, drawn.tar_sha256])
    return hashlib.sha256(json.dumps([labels, marks, corrected]).encode()).hexdigest()[:32]


def composed_record(
    row: Mapping[str, Any], image: Labels, mask: Labels, instances: Labels, classes: Sequence[str]
) -> Record:
    """A sample that is made of others, with the columns that follow from its mask.

    Args:
        row: ``key``, ``number``, ``sources``, ``image_seed``, ``model`` and whatever else the stage's schema has.
        image: uint8 ``(height, width, 3)``.
        mask: uint8 ``(height, width)`` of class ids; 0 background, 255 ignored.
        instances: uint8 ``(height, width)`` of instance ids from 1; 0 background, 255 ignored.
        classes: names of the run's classes; the first has id 1.
    """
    ids = [value for value in np.unique(mask).tolist() if value not in (0, VOID)]
    columns = {
        "width": mask.shape[1],
        "height": mask.shape[0],
        "classes": [classes[value - 1] for value in ids],
        "area": [float(np.mean(mask == value)) for value in ids],
        "components": [len(np.unique(instances[mask == value])) for value in ids],
        "void": float(np.mean(mask == VOID)),
        "status": "ok" if ids else "rejected",
        "reason": "" if ids else "no object is left",
    }
    files = {IMAGE: encode_rgb_png(image), MASK: encode_index_png(mask), INSTANCES: encode_index_png(instances)}
    return Record(row["key"], {**row, **columns}, files)


def _sides(instances: Labels) -> list[float]:
    """The side in pixels of a square as large, of each object of an instance image."""
    numbers, pixels = np.unique(instances, return_counts=True)
    return [math.sqrt(size) for number, size in zip(numbers, pixels, strict=True) if 0 < number < VOID]


def _index(reader: ShardReader, path: Path) -> dict[str, tuple[int, int]]:
    """Where the members of a shard's tar lie, after its checksum is compared."""
    reader.verify()
    try:
        with open_stored(path, keep=True) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            plain = (member for member in tar if member.isreg() and not member.issparse())
            return {member.name: (member.offset_data, member.size) for member in plain}
    except tarfile.TarError as error:
        raise DamagedShard(f"{path}: not a readable tar ({type(error).__name__})") from error
