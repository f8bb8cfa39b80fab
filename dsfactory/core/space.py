"""The sample space of the splices: shards of their own beside those of the run."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator

from dsfactory.core.config import Section, parse_section
from dsfactory.core.run import MAX_SHARD, Run, read_json
from dsfactory.core.shard import ShardSpec
from dsfactory.storage.atomic import write_atomic

STAGE = "splice"
LAYOUT = "shards.json"

FIRST = 1_000_000_000
"""Number of the first splice. Drawn samples are numbered from 0, so keys and COCO ids of the two never meet."""

Family = Literal["mosaic", "paste"]


class Layout(Section):
    """Which shard holds what: ``splice/shards.json``."""

    shards: tuple[tuple[int, int, Family], ...] = Field(
        (), description="For each shard, which ones of its family it holds: [start, stop)."
    )

    @field_validator("shards")
    @classmethod
    def _check_shards(cls, shards: tuple[tuple[int, int, Family], ...]) -> tuple[tuple[int, int, Family], ...]:
        ends = {"mosaic": 0, "paste": 0}
        for start, stop, family in shards:
            if start != ends[family] or not start < stop <= start + MAX_SHARD:
                raise ValueError(f"a shard from {start} to {stop} cannot follow a {family} shard up to {ends[family]}")
            ends[family] = stop
        return shards

    def count(self, family: Family) -> int:
        """How many of a family there are to be."""
        return max((stop for _, stop, name in self.shards if name == family), default=0)


class SpliceSpace(Run):
    """A run as the splice stage sees it: same folder, same seed, other shards.

    A larger target adds shards at the end, of mosaics or of paste compositions, and changes none that is there.
    """

    def __init__(self, run: Run, layout: Layout) -> None:
        super().__init__(run.path, run.manifest)
        self.layout = layout

    @classmethod
    def of(cls, run: Run) -> Self:
        """The splices of a run, which may have none.

        Raises:
            UserError: ``shards.json`` cannot be read.
        """
        path = _path(run)
        if not path.exists():
            return cls(run, Layout())
        content = read_json(path, "run 'dsfactory splice --redo'")
        return cls(run, parse_section(Layout, content, str(path)))

    def shards(self) -> list[ShardSpec]:
        specs, number = [], FIRST
        for index, (start, stop, _) in enumerate(self.layout.shards):
            specs.append(ShardSpec(index, number, number + stop - start))
            number += stop - start
        return specs

    @property
    def total(self) -> int:
        return sum(stop - start for start, stop, _ in self.layout.shards)

    def extend(self, family: Family, count: int, shard_size: int) -> None:
        """Add shards until there are to be ``count`` of a family."""
        shards = list(self.layout.shards)
        start = self.layout.count(family)
        while start < count:
            stop = min(start + shard_size, count)
            shards.append((start, stop, family))
            start = stop
        if len(shards) > len(self.layout.shards):
            self.layout = Layout(shards=tuple(shards))
            self._own_folder(STAGE).mkdir(exist_ok=True)
            write_atomic(_path(self), self.layout.model_dump_json(indent=1).encode())

    def discard(self) -> None:
        """Delete all splices, done-marks first."""
        self.discard_stage(STAGE)
        _path(self).unlink(missing_ok=True)
        self.layout = Layout()


def _path(run: Run) -> Path:
    return run.stage_folder(STAGE) / LAYOUT
