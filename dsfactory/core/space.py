"""Sample spaces: how samples are numbered, named and seeded.

A run has one space of its own. A stage that makes new samples of others numbers them in a space of its own, whose
shards stand in the stage's folder. A sample is (space, cell, index, attempt): the cell is a class, or whatever else
the stage keeps apart; another attempt at the same sample is another number, so it is repeatable too.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Self

from pydantic import Field, field_validator

from dsfactory.core.run import MAX_SHARD, Run, read_json
from dsfactory.core.sample import SampleId, sample_key, sample_seed
from dsfactory.core.section import Section, parse_section
from dsfactory.core.shard import ShardSpec
from dsfactory.storage.atomic import write_atomic

if TYPE_CHECKING:
    from dsfactory.core.stage import Stage

LAYOUT = "shards.json"
_CELL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_STRIDE = 1_000_000_000
"""Numbers of a space: no run makes as many samples of one kind."""


def first_number(space: str) -> int:
    """The number from which a stage's space counts, so that no two samples of a run have the same number."""
    digest = hashlib.blake2b(space.encode(), digest_size=4, person=b"dsf-space").digest()
    return (2 + int.from_bytes(digest, "big") % 2**20) * _STRIDE


class Layout(Section):
    """Which shard holds what: ``shards.json`` in the stage's folder."""

    shards: tuple[tuple[int, int, str], ...] = Field(
        (), description="For each shard, which samples of its cell it holds: [start, stop)."
    )

    @field_validator("shards")
    @classmethod
    def _check_shards(cls, shards: tuple[tuple[int, int, str], ...]) -> tuple[tuple[int, int, str], ...]:
        ends: dict[str, int] = {}
        for start, stop, cell in shards:
            if not _CELL.fullmatch(cell):
                raise ValueError(f"{cell[:40]!r} cannot name a part of a sample space")
            if start != ends.get(cell, 0) or not start < stop <= start + MAX_SHARD:
                raise ValueError(
                    f"a shard from {start} to {stop} cannot follow a {cell} shard up to {ends.get(cell, 0)}"
                )
            ends[cell] = stop
        return shards

    def count(self, cell: str) -> int:
        """How many samples of a cell there are to be."""
        return max((stop for _, stop, name in self.shards if name == cell), default=0)


class Space(Run):
    """A run as a stage with a sample space of its own sees it: same folder, same seed, other shards.

    A larger target adds shards at the end of a cell, and changes none that is there.
    """

    def __init__(self, run: Run, kind: "type[Stage]", layout: Layout) -> None:
        super().__init__(run.path, run.manifest)
        self.kind, self.layout = kind, layout
        self._first = kind.first if kind.first is not None else first_number(kind.name)

    @classmethod
    def of(cls, run: Run, kind: "type[Stage]") -> Self:
        """The space of a stage in a run; empty when the stage has not begun.

        Raises:
            UserError: ``shards.json`` cannot be read.
        """
        path = run.stage_folder(kind.folder) / LAYOUT
        if not path.exists():
            return cls(run, kind, Layout())
        content = read_json(path, f"run 'dsfactory {kind.name} --redo'")
        return cls(run, kind, parse_section(Layout, content, str(path)))

    def reopened(self) -> Self:
        """The space as it is on the disk now."""
        return self.of(Run.open(self.path), self.kind)

    def shards(self) -> list[ShardSpec]:
        specs, number = [], self._first
        for index, (start, stop, _) in enumerate(self.layout.shards):
            specs.append(ShardSpec(index, number, number + stop - start))
            number += stop - start
        return specs

    def key(self, number: int) -> str:
        """``flip-00000007``: the stage's name and the place in its space."""
        return sample_key(number) if self.kind.first is not None else f"{self.kind.name}-{number - self._first:08d}"

    @property
    def total(self) -> int:
        return sum(stop - start for start, stop, _ in self.layout.shards)

    def samples(self, spec: ShardSpec) -> Iterator[SampleId]:
        """The samples of a shard, in order."""
        first, _, cell = self.layout.shards[spec.index]
        for index, number in enumerate(range(spec.start, spec.stop), start=first):
            seed = sample_seed(self.manifest.seed, self.kind.name, cell, index)
            yield SampleId(self.key(number), number, cell, index, seed)

    def extend(self, wanted: Mapping[str, int], shard_size: int) -> None:
        """Add shards until each cell is to have this many samples."""
        shards = list(self.layout.shards)
        for cell, count in wanted.items():
            start = self.layout.count(cell)
            while start < count:
                stop = min(start + shard_size, count)
                shards.append((start, stop, cell))
                start = stop
        if len(shards) > len(self.layout.shards):
            self.layout = Layout(shards=tuple(shards))
            folder = self.make_stage_folder(self.kind.folder)
            write_atomic(folder / LAYOUT, self.layout.model_dump_json(indent=1).encode())

    def planned(self, wanted: Mapping[str, int], redo: bool) -> int:
        """How many samples there will be once :meth:`extend` has been called."""
        before = {} if redo else {cell: self.layout.count(cell) for _, _, cell in self.layout.shards}
        return sum(max(wanted.get(cell, 0), before.get(cell, 0)) for cell in {*wanted, *before})

    def discard(self, kind: "type[Stage]") -> None:
        super().discard(kind)
        (self.stage_folder(kind.folder) / LAYOUT).unlink(missing_ok=True)
        self.layout = Layout()


def space_of(run: Run, kind: "type[Stage]") -> Run:
    """Where a stage's samples are numbered: the run's own space, or the stage's."""
    return Space.of(run, kind) if kind.own_space else run
