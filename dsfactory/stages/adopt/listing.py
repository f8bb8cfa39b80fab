"""The numbered list of what a run has adopted, ``adopted.parquet``: an image keeps its number when others are added."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsfactory.errors import UserError
from dsfactory.formats.labelled import Item
from dsfactory.storage.atomic import atomic_file

LISTED = "adopted.parquet"

_TEXT = {"name", "image", "split", "place", "mark", "fault", "root"}
_SCHEMA = pa.schema(
    [
        ("source", pa.int32()),
        *((one.name, pa.string() if one.name in _TEXT else pa.bool_()) for one in fields(Item)),
    ]
)
_BATCH = 4096


@dataclass(frozen=True)
class Told:
    """A source as the list holds it.

    Attributes:
        kind: of the set; ``"run"`` for another run.
        root: where it is.
        facts: what reading it takes.
    """

    kind: str
    root: str
    facts: Mapping[str, Any]


class Listing:
    """The list in memory: some hundred bytes per image."""

    def __init__(self, table: pa.Table, sources: Sequence[Told]) -> None:
        self._table, self.sources = table, tuple(sources)

    @classmethod
    def of(cls, sources: Sequence[Told], items: Iterable[tuple[int, Item]]) -> "Listing":
        """A list of items, each with the position of its source."""
        batches, rows = [], []
        for source, item in items:
            rows.append({"source": source, **asdict(item)})
            if len(rows) == _BATCH:
                batches.append(pa.Table.from_pylist(rows, schema=_SCHEMA))
                rows = []
        batches.append(pa.Table.from_pylist(rows, schema=_SCHEMA))
        return cls(pa.concat_tables(batches).combine_chunks(), sources)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def item(self, number: int) -> tuple[int, Item]:
        """An image, and the position of its source."""
        (row,) = self._table.slice(number, 1).to_pylist()
        return row.pop("source"), Item(**row)

    def items(self) -> Iterator[tuple[int, Item]]:
        for batch in self._table.to_batches(_BATCH):
            for row in batch.to_pylist():
                yield row.pop("source"), Item(**row)

    def count(self, name: str) -> int:
        """How many images have something in a column."""
        return sum(bool(value.as_py()) for value in self._table[name])

    def write(self, run_path: Path) -> None:
        """Write the list in one visible step, unless it is there already."""
        path = run_path / LISTED
        told = json.dumps([asdict(source) for source in self.sources]).encode()
        table = self._table.replace_schema_metadata({b"sources": told})
        if path.exists() and pq.read_table(path).equals(table, check_metadata=True):
            return
        with atomic_file(path) as file:
            pq.write_table(table, file, compression="zstd")


def read_listing(run_path: Path) -> Listing | None:
    """The list of a run; None when it has not begun.

    Raises:
        UserError: it cannot be read.
    """
    path = run_path / LISTED
    if not path.exists():
        return None
    try:
        table = pq.read_table(path)
        sources = [Told(**source) for source in json.loads((table.schema.metadata or {})[b"sources"])]
        return Listing(table.cast(_SCHEMA), sources)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be read: restore it, or begin a new run") from error


def merged(before: Listing | None, now: Listing, redo: bool) -> Listing:
    """The list that a run goes on with: what it had, then what is new.

    Args:
        before: the run's list.
        now: what the sources hold.
        redo: everything is made again, so that labels may have changed.

    Raises:
        UserError: an image has other labels than before, and ``redo`` is off.
    """
    if before is None:
        return now
    old, new = ([source.root for source in one.sources] for one in (before, now))
    if old != new[: len(old)]:
        raise UserError(
            f"the run was begun with {', '.join(old)}: name these first, then what is to be added, or another --out"
        )
    found = {(source, item.name): item for source, item in now.items()}
    kept: list[tuple[int, Item]] = []
    for source, item in before.items():
        other = found.pop((source, item.name), item)
        if not redo and other.mark != item.mark:
            raise UserError(
                f"{item.name} has other labels than when the run was begun: add --redo to adopt all again, "
                "or name another --out"
            )
        kept.append((source, other))
    added = ((source, item) for (source, _), item in found.items())
    return Listing.of(now.sources, [*kept, *added])
