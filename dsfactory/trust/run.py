"""Trust in the objects of a run: a column that follows from what the run holds, and is stored nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import BACKGROUND, EVIDENCE, IMAGE, INSTANCES, MASK, VOID, Record
from dsfactory.core.shard import ShardSpec
from dsfactory.dataset.sample import ExportSample
from dsfactory.stages.refine.clean import set_void
from dsfactory.stages.refine.stage import read_evidence
from dsfactory.trust.evidence import NEEDED, object_evidence
from dsfactory.trust.model import TABLE, Table

FILE = "trust.json"
"""In a run: the table that was fitted for it."""


@dataclass(frozen=True)
class RunTrust:
    """Says how far objects of a run can be trusted.

    Attributes:
        classes: names of the run's classes.
        table: the run's own, or the one that comes along.
    """

    classes: tuple[str, ...]
    table: Table

    @classmethod
    def of(cls, run: Run, folder: str, specs: Sequence[ShardSpec]) -> "RunTrust | None":
        """What there is to say of a run; None where its labels come without the evidence.

        Labels of refine before version 7 are such: other rules made them, and the table speaks of those of now.

        Args:
            run: the run.
            folder: of the stage whose labels count.
            specs: its finished shards.

        Raises:
            UserError: the run's own table cannot be read.
            DamagedShard: a shard cannot be read.
        """
        if not specs or not {*NEEDED} <= {*run.reader(folder, specs[0]).rows[0]}:
            return None
        return cls(tuple(item.name for item in run.manifest.classes), table_of(run.path))

    @property
    def digest(self) -> str:
        """Hash of what is said."""
        return self.table.digest

    def __call__(self, image: Record, labels: Record) -> dict[int, float]:
        """Trust of each object by its instance id; see :data:`dsfactory.dataset.samples.Trust`."""
        if labels.row["status"] != "ok" or labels.row[NEEDED[0]] is None or EVIDENCE not in image.files:
            return {}
        return self.of_files(labels.row, {**image.files, **labels.files})

    def of_files(self, row: dict[str, Any], files: dict[str, bytes]) -> dict[int, float]:
        """The same of a row of labels and the files of the sample."""
        found = object_evidence(
            row,
            self.classes,
            decode_rgb_png(files[IMAGE]),
            decode_index_png(files[MASK]),
            decode_index_png(files[INSTANCES]),
            read_evidence(files[EVIDENCE]),
        )
        said = {number: self.table.trust(evidence) for number, evidence in found.items()}
        return {number: trust for number, trust in said.items() if trust is not None}

    def by_class(self, row: dict[str, Any], files: dict[str, bytes]) -> list[float | None]:
        """The lowest trust among the objects of each class that the image was to show; None for a class without one."""
        if row[NEEDED[0]] is None or not files.keys() >= {IMAGE, MASK, INSTANCES, EVIDENCE}:
            return [None] * len(row["classes"])
        trust = self.of_files(row, files)
        mask, instances = decode_index_png(files[MASK]), decode_index_png(files[INSTANCES])
        lowest: dict[str, float] = {}
        for number, value in trust.items():
            name = self.classes[int(mask[instances == number][0]) - 1]
            lowest[name] = min(value, lowest.get(name, 1.0))
        return [lowest.get(name) for name in row["classes"]]


def table_of(run: Path) -> Table:
    """The table that was fitted for a run, else the one that comes along.

    Raises:
        UserError: it cannot be read.
    """
    own = run / FILE
    return Table.read(own if own.exists() else TABLE)


def with_trust(sample: ExportSample, least: float) -> ExportSample | None:
    """A sample whose objects of less trust became ignore (255); None when no object is left.

    The sample itself when it has none; so does one without any object.
    """
    below = [number for number, trust in sample.trust.items() if trust < least]
    if not below:
        return sample
    mask, instances = decode_index_png(sample.mask_png), decode_index_png(sample.instances_png)
    left = [number for number in np.unique(instances) if number not in (BACKGROUND, VOID, *below)]
    if not left:
        return None
    mask, numbered = set_void(mask, instances, np.isin(instances, below))
    trust = {new: sample.trust[old] for new, old in enumerate(left, start=1) if old in sample.trust}
    return replace(sample, mask_png=encode_index_png(mask), instances_png=encode_index_png(numbered), trust=trust)
