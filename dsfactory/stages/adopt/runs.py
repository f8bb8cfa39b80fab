"""Another run as a labelled set: its kept samples, with the labels that a person has corrected."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from dsfactory.core.chain import Input
from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.dataset.corrections import Corrections
from dsfactory.dataset.labels import images_and_labels
from dsfactory.dataset.pool import SamplePool, open_pool
from dsfactory.dataset.split import ORIGIN, ROOT, SPLIT, SYNTHETIC
from dsfactory.errors import DamagedShard, UserError
from dsfactory.formats.labelled import Item, LabelledSet, label_table
from dsfactory.formats.reading.labels import FixedLabels

_COLUMNS = ("prompt", "domain", "model", "image_seed", "source_run", "source_key")


class RunSet(LabelledSet):
    """The kept samples of a run's own space. What it composed of them is left out: it can be composed again."""

    kind: ClassVar[str] = "run"

    def look(self) -> dict[str, Any]:
        images, _ = self._inputs
        # Before adopted samples said where they are from, given images were real, and all others drawn.
        return {"names": [spec.name for spec in Run.open(self.root).manifest.classes], "given": images.kind.given}

    @cached_property
    def _inputs(self) -> tuple[Input, Input]:
        from dsfactory.stages import STAGES

        run = Run.open(self.root)
        return images_and_labels(run, STAGES.begun(run))

    @cached_property
    def _pool(self) -> SamplePool:
        return open_pool(self.root, self._inputs, Run.open(self.root).manifest.classes)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {source.key: place for place, source in enumerate(self._pool.samples)}

    def items(self) -> Iterator[Item]:
        run, (images, labels) = Run.open(self.root), self._inputs
        corrected = Corrections.of(self.root).fingerprint[:8]
        marks: dict[int, str] = {}
        for source in self._pool.samples:
            spec = source.shard
            if spec.index not in marks:
                marks[spec.index] = run.reader(labels.kind.folder, spec).mark.tar_sha256[:16] + corrected
                rows = {row["key"]: row for row in run.reader(images.kind.folder, spec).rows}
            row = rows[source.key]
            given = row.get(ORIGIN, "" if self.facts["given"] else SYNTHETIC) != SYNTHETIC
            yield Item(
                name=source.key,
                split=row.get(SPLIT) or "",
                place=json.dumps([spec.index, spec.start, spec.stop]),
                mark=marks[spec.index],
                synthetic=not given,
                root=row.get(ROOT) or source.key,
            )

    def picture(self, item: Item) -> bytes:
        return self._files(item)[0]

    def labels(self, item: Item, shape: tuple[int, int], ids: Mapping[str, int]) -> FixedLabels:
        _, mask, instances = (decode for decode in self._files(item))
        table = label_table(list(self.names or ()), ids)
        return FixedLabels(item.name, table[decode_index_png(mask)], decode_index_png(instances), True)

    def _files(self, item: Item) -> tuple[bytes, bytes, bytes]:
        if item.name not in self._places:
            raise ValueError(f"{self.root.name} does not keep it any more")
        try:
            return self._pool.files(self._places[item.name])
        except (DamagedShard, UserError) as error:
            raise ValueError(f"it cannot be read in {self.root.name}: 'dsfactory verify' says more") from error

    def columns(self, item: Item) -> Mapping[str, Any]:
        """Prompt, model and seed, and the sample that it was; that of the first run, where runs were joined twice."""
        row = self._rows(item)[item.name]
        here = {"source_run": self.root.name, "source_key": item.name}
        found = {name: row.get(name) for name in _COLUMNS}
        return {**found, **(here if not found["source_key"] else {})}

    def _rows(self, item: Item) -> Mapping[str, Mapping[str, Any]]:
        if self._held[0] != item.place:
            spec = self._pool.samples[self._places[item.name]].shard
            reader = Run.open(self.root).reader(self._inputs[0].kind.folder, spec)
            self._held = item.place, {row["key"]: row for row in reader.rows}
        return self._held[1]

    _held: tuple[str, Mapping[str, Mapping[str, Any]]] = ("", {})
