"""A run's images and labels by the names that other tools know them by."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.run import Run
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardSpec
from dsfactory.dataset.labels import finished_shards, images_and_labels
from dsfactory.dataset.own_files import FILE_HEIGHT, FILE_WIDTH, named_rows, nearest
from dsfactory.formats.reading.labels import FixedLabels, stem_of
from dsfactory.stages import STAGES

_NUMBER = re.compile(r"(?<![0-9])[0-9]{8,20}(?![0-9])")


class LabelledImages:
    """A run's images and labels by key; the shard in hand is in memory."""

    def __init__(self, run: Run) -> None:
        self.run = run
        begun = STAGES.begun(run)
        self._images, self._labels = (item.kind.folder for item in images_and_labels(run, begun))
        self._labelled = {spec.index for spec in finished_shards(run, self._labels)}
        self._drawn = {spec.index: spec for spec in finished_shards(run, self._images)}
        spaces = "|".join(item.kind.name for item in begun if item.kind.own_space)
        self._composed = re.compile(rf"(?<![a-z0-9])({spaces})-[0-9]{{8}}(?![0-9])" if spaces else "$^")
        self._given = any(item.kind.given for item in begun)
        self._index = -1
        self._shard: dict[str, tuple[Record, Record | None]] = {}

    def key_of(self, name: str) -> str:
        """The key that an image's file name stands for; the name without folders and extension where there is none.

        Tools put words of their own around a key: ``00000003_png.rf.5e0c1.jpg``, ``5e0c1a2b-00000003.png``.
        """
        row = self._own_row(name)
        if row is not None:
            return str(row["key"])
        stem = stem_of(name)
        if self._shard_of(stem) is not None:
            return stem
        composed = self._composed.search(stem)
        if composed is not None:
            return composed[0]
        keys = {number for number in _NUMBER.findall(stem) if self._shard_of(number) is not None}
        return keys.pop() if len(keys) == 1 else stem

    def size(self, name: str) -> tuple[int, int] | None:
        """Height and width of the image that a file name stands for, as exported; None where there is none."""
        row = self._own_row(name)
        if row is not None:
            return row[FILE_HEIGHT], row[FILE_WIDTH]
        found = self.find(self.key_of(name))
        return (found[0].row["height"], found[0].row["width"]) if found is not None else None

    def in_our_size(self, labels: FixedLabels) -> FixedLabels:
        """Labels of the user's own picture, in the size in which the run keeps it; others as they are."""
        row = self._own_row(labels.name)
        if row is None or labels.mask.shape != (row[FILE_HEIGHT], row[FILE_WIDTH]):
            return labels
        shape = row["height"], row["width"]
        if labels.mask.shape == shape:
            return labels
        instances = nearest(labels.instances, shape) if labels.instances is not None else None
        return replace(labels, mask=nearest(labels.mask, shape), instances=instances, image=None)

    def as_exported(self, name: str, labels: tuple[NDArray[np.uint8], ...]) -> tuple[NDArray[np.uint8], ...]:
        """Labels of the run in the size of an export: of the user's own picture that is the file's."""
        row = self._own_row(name)
        shape = (row[FILE_HEIGHT], row[FILE_WIDTH]) if row is not None else labels[0].shape
        return labels if shape == labels[0].shape else tuple(nearest(one, shape) for one in labels)

    def _own_row(self, name: str) -> dict[str, Any] | None:
        """The row of the user's own picture that bears a name in exports."""
        if not self._given:
            return None
        path = PurePosixPath(name).with_suffix("")
        ends = ("/".join(path.parts[place:]) for place in range(len(path.parts)))
        return next((self._pictures[end] for end in ends if end in self._pictures), None)

    @cached_property
    def _pictures(self) -> dict[str, dict[str, Any]]:
        return named_rows(row for spec in self._drawn.values() for row in self.run.reader(self._images, spec).rows)

    def find(self, key: str) -> tuple[Record, Record | None] | None:
        """A sample's image and its labels, if it was drawn and has some."""
        spec = self._shard_of(key)
        if spec is None:
            return None
        if spec.index != self._index:
            self._shard = dict(self._load(spec))
            self._index = spec.index
        found = self._shard.get(key)
        return found if found is not None and "image.png" in found[0].files else None

    def _shard_of(self, key: str) -> ShardSpec | None:
        if not (key.isascii() and key.isdigit() and len(key) < 20 and key == sample_key(int(key))):
            return None
        return next((item for item in self._drawn.values() if item.start <= int(key) < item.stop), None)

    def _load(self, spec: ShardSpec) -> Iterator[tuple[str, tuple[Record, Record | None]]]:
        labels = self.run.reader(self._labels, spec).records() if spec.index in self._labelled else ()
        by_key = {record.key: record for record in labels}
        for image in self.run.reader(self._images, spec).records():
            yield image.key, (image, by_key.get(image.key))
