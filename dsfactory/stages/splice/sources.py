"""The kept samples of a run that may be spliced, read in any order."""

import hashlib
import json
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.errors import DamagedImage, DamagedShard
from dsfactory.stages.splice.scene import Scene, decode_scene
from dsfactory.storage.remote import open_stored

DRAWN = "generate"
CACHED = 64
"""Decoded samples that are kept in memory."""

IMAGE, MASK, INSTANCES = "image.png", "mask.png", "instances.png"


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


class Sources:
    """What splices are drawn from: kept samples, none of them one that the validation split may take.

    A spliced image goes into train. Were one of its parts in val, a model would be tested on what it was trained on, so
    those samples are left out here, before anything is drawn.

    Args:
        run: the run; every shard of its labels is finished.
        labels: the stage whose masks count.
        classes: the run's class names in label order.
        in_train: whether the sample with a key goes into train.
        mended: class mask and instances (PNG) of samples that a person mended, by key; they win over the stage's. None
            for a sample whose labels were all taken away.

    Attributes:
        samples: in the order of their keys.
        by_class: for each class of the run, the positions in ``samples`` of those that show it.
        model: who drew them.

    Raises:
        DamagedShard: a row table cannot be read.
    """

    def __init__(
        self,
        run: Run,
        labels: str,
        classes: Sequence[str],
        in_train: Callable[[str], bool],
        mended: Mapping[str, tuple[bytes, bytes] | None],
    ) -> None:
        self._run, self._labels, self._mended = run, labels, mended
        self._indices: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}
        self._scenes: OrderedDict[int, Scene] = OrderedDict()
        self.samples: list[Source] = []
        self.model = ""
        positions = {name: position for position, name in enumerate(classes)}
        for spec in run.shards():
            for row in run.reader(labels, spec).rows:
                key = row["key"]
                self.model = row["model"]
                if not in_train(key):
                    continue
                if key in mended:
                    files = mended[key]
                    if files is not None:
                        values = np.unique(decode_index_png(files[0]))
                        shown = tuple(int(value) - 1 for value in values if 0 < value <= len(classes))
                        self.samples.append(Source(key, spec, shown))
                elif row["status"] == "ok":
                    pairs = zip(row["classes"], row["area"], strict=True)
                    shown = tuple(positions[name] for name, area in pairs if area > 0)
                    self.samples.append(Source(key, spec, shown))
        self.by_class = [
            np.array([index for index, source in enumerate(self.samples) if position in source.classes], dtype=np.int64)
            for position in range(len(classes))
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def scene(self, index: int) -> Scene:
        """A sample's image and labels; not to be changed in place.

        Raises:
            DamagedShard: its shard cannot be read.
        """
        scene = self._scenes.get(index)
        if scene is None:
            source = self.samples[index]
            files = self._mended.get(source.key)
            mask, instances = files or (self._file(self._labels, source, name) for name in (MASK, INSTANCES))
            try:
                scene = decode_scene(self._file(DRAWN, source, IMAGE), mask, instances)
            except DamagedImage as error:
                raise DamagedShard(f"{self._labels}/{source.shard.name}: sample {source.key}: {error}") from error
            largest = int(np.max(scene.mask, where=scene.mask != VOID, initial=BACKGROUND))
            if largest > len(self.by_class):
                raise DamagedShard(
                    f"{self._labels}/{source.shard.name}: sample {source.key} has the class id {largest}"
                )
            self._scenes[index] = scene
            if len(self._scenes) > CACHED:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(index)
        return scene

    def _file(self, stage: str, source: Source, name: str) -> bytes:
        path = self._run.stage_folder(stage) / source.shard.tar
        place = (stage, source.shard.index)
        if place not in self._indices:
            self._indices[place] = _index(self._run.reader(stage, source.shard), path)
        try:
            start, size = self._indices[place][f"{source.key}.{name}"]
        except KeyError:
            raise DamagedShard(f"{path}: sample {source.key} has no {name}") from None
        with open_stored(path, keep=True) as file:
            file.seek(start)
            return file.read(size)


def fingerprint_of(run: Run, labels: str, mended: str) -> str:
    """Hash of what there is to draw from: which samples are kept, their images and their labels.

    Reads no more than the shards' done-marks.

    Args:
        run: the run.
        labels: the stage whose masks count.
        mended: says which labels a person mended, and how; empty when none.

    Raises:
        DamagedShard: one of them cannot be read.
    """
    marks = []
    for spec in run.finished(labels):
        mark, drawn = run.reader(labels, spec).mark, run.reader(DRAWN, spec).mark
        marks.append([mark.fingerprint, mark.rows_sha256, mark.tar_sha256, drawn.fingerprint, drawn.tar_sha256])
    return hashlib.sha256(json.dumps([labels, marks, mended]).encode()).hexdigest()[:32]


def _index(reader: ShardReader, path: Path) -> dict[str, tuple[int, int]]:
    """Where the members of a shard's tar lie, after its checksum is compared."""
    reader.verify()
    try:
        with open_stored(path, keep=True) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            plain = (member for member in tar if member.isreg() and not member.issparse())
            return {member.name: (member.offset_data, member.size) for member in plain}
    except tarfile.TarError as error:
        raise DamagedShard(f"{path}: not a readable tar ({type(error).__name__})") from error
