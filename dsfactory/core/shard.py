"""Shards: ``NNNNN.tar`` with the samples' files, ``NNNNN.parquet`` with a row per sample.

The tar follows the WebDataset convention (members ``key.extension``, grouped by key). The row table is
written last and is the done-mark: it carries the tar's checksum and the fingerprint of everything that
decided the bytes. Nothing in either file depends on the time, the machine or the user.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dsfactory.core.sample import Record, row_fault, sample_key
from dsfactory.errors import DamagedShard
from dsfactory.storage.atomic import atomic_file
from dsfactory.storage.remote import open_stored

_MARK = b"dsfactory"

SOURCE_COLUMNS = (
    ("key", pa.string()),
    ("number", pa.int64()),
    ("class_name", pa.string()),
    ("classes", pa.list_(pa.string())),
    ("index", pa.int64()),
)
"""Columns with which the rows of a source begin: what a sample is called, its number, the class that it was made for,
all its classes, and its place among those of the class."""


@dataclass(frozen=True)
class ShardSpec:
    """The samples ``start <= number < stop`` under one shard number."""

    index: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"{self.index:05d}"

    @property
    def tar(self) -> str:
        """Name of the file that holds its samples' files."""
        return f"{self.name}.tar"

    @property
    def table(self) -> str:
        """Name of its row table, which is the done-mark."""
        return f"{self.name}.parquet"

    @property
    def files(self) -> tuple[str, str]:
        """Names of its files, the done-mark last."""
        return self.tar, self.table

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class DoneMark:
    """What a finished shard says of itself, stored in the row table's metadata."""

    fingerprint: str
    tar_sha256: str
    """Hex digest of the tar; empty when the stage writes no files."""
    tar_bytes: int
    rows_sha256: str
    """Hex digest of the rows: Parquet's own checks let most flipped bits through."""
    start: int
    stop: int


class _HashingWriter:
    """A write-only file that hashes what goes through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.discard = False

    def write(self, data: bytes) -> int:
        if self.discard:
            return len(data)
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)


class ShardWriter:
    """Collect a shard's records and make them visible at once. Columns in ``added`` that no row has are left out.

    Columns that came later (``added``) are left out where no row has them: shards of before are made again to the same
    bytes. Use as a context manager. Leaving the block without :meth:`commit`, by an error or a signal, leaves
    no trace. A stage that adds no files gets no tar.
    """

    def __init__(
        self, folder: Path, spec: ShardSpec, schema: pa.Schema, fingerprint: str, added: Collection[str] = ()
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._added = added
        self._schema = schema
        self._fingerprint = fingerprint
        self._rows: list[dict[str, Any]] = []
        self._stack = ExitStack()
        self._sink: _HashingWriter | None = None
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tar is not None and self._sink is not None:
            self._sink.discard = True
            self._tar.close()
        self._stack.__exit__(kind or _Discarded, error or _Discarded(), trace)

    def add(self, record: Record) -> None:
        """Append one sample; its files go to the tar at once, its row waits for the commit."""
        self._rows.append(record.row)
        for extension, data in record.files.items():
            member = tarfile.TarInfo(f"{record.key}.{extension}")
            member.size = len(data)
            member.mode = 0o644
            self._open_tar().addfile(member, BytesIO(data))

    def _open_tar(self) -> tarfile.TarFile:
        if self._tar is None:
            file = self._stack.enter_context(atomic_file(self._folder / self._spec.tar))
            self._sink = _HashingWriter(file)
            self._tar = tarfile.open(fileobj=self._sink, mode="w|", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]  # noqa: SIM115
        return self._tar

    def commit(self) -> None:
        """Finish the tar, then write the row table: from here on the shard exists."""
        if self._tar is not None:
            self._tar.close()
        self._stack.close()
        there = {name for row in self._rows for name in row}
        columns = [field for field in self._schema if field.name in there or field.name not in self._added]
        table = pa.Table.from_pylist(self._rows, schema=pa.schema(columns))
        mark = DoneMark(
            fingerprint=self._fingerprint,
            tar_sha256=self._sink.sha256.hexdigest() if self._sink else "",
            tar_bytes=self._sink.size if self._sink else 0,
            rows_sha256=_digest(table.to_pylist()),
            start=self._spec.start,
            stop=self._spec.stop,
        )
        metadata = {_MARK: json.dumps(mark.__dict__, sort_keys=True).encode()}
        with atomic_file(self._folder / self._spec.table) as file:
            pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")


class _Discarded(Exception):
    """Tells the open files of an uncommitted shard to vanish."""


def _digest(rows: list[dict[str, Any]]) -> str:
    """SHA-256 of rows as Arrow gives them back, column names included."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()


def read_mark(folder: Path, spec: ShardSpec) -> DoneMark | None:
    """The done-mark of a shard, or None when the shard is not there.

    Reads only the table's footer and the tar's size.

    Raises:
        DamagedShard: the table cannot be read or belongs to other samples, or the tar is missing or has
            another size.
    """
    path = folder / spec.table
    if not path.exists():
        return None
    try:
        metadata = pq.read_schema(path).metadata or {}
        mark = DoneMark(**json.loads(metadata[_MARK]))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedShard(f"{path}: not a readable row table ({type(error).__name__})") from error
    if (mark.start, mark.stop) != (spec.start, spec.stop):
        raise DamagedShard(f"{path}: holds the samples {mark.start} to {mark.stop}, not {spec.start} to {spec.stop}")
    if mark.tar_sha256:
        tar = folder / spec.tar
        size = tar.stat().st_size if tar.exists() else None
        if size != mark.tar_bytes:
            found = "is missing" if size is None else f"has {size} bytes instead of {mark.tar_bytes}"
            raise DamagedShard(f"{tar}: {found}")
    return mark


class _BoundedReader:
    """A file that asks the system for no more than it holds: a header may claim gigabytes, and Python reserves them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        return self._file.read(max(0, min(size, self._size - self._file.tell())))


class Parts(dict[str, Any]):
    """A row's columns, a sample's files; what is missing is damage, named as such.

    Args:
        content: name to value.
        place: whose they are, for the error.
    """

    def __init__(self, content: dict[str, Any], place: str) -> None:
        super().__init__(content)
        self._place = place

    def __missing__(self, name: str) -> Any:
        raise DamagedShard(f"{self._place} has no {name}")


class ShardReader:
    """Read a finished shard: rows from the table, files from the tar, in sample order.

    Args:
        folder: the stage's.
        spec: the shard.
        classes: names of the run's classes; rows that name others are damage. None where any name may stand.
        key: the key of the sample with a number.

    Raises:
        DamagedShard: see :func:`read_mark`; or the shard is not there.
    """

    def __init__(
        self,
        folder: Path,
        spec: ShardSpec,
        classes: Collection[str] | None = None,
        key: Callable[[int], str] = sample_key,
    ) -> None:
        self._table_path = folder / spec.table
        self._tar_path = folder / spec.tar
        self._spec, self._classes, self._key = spec, classes, key
        mark = read_mark(folder, spec)
        if mark is None:
            raise DamagedShard(f"{self._table_path}: is missing")
        self.mark = mark

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A dict per sample, in sample order.

        Raises:
            DamagedShard: the table does not hold what its mark says.
        """
        try:
            with pq.ParquetFile(self._table_path) as file:
                found = file.metadata.num_rows
                if found != len(self._spec):  # before reading: a few bytes can claim any number of rows
                    raise DamagedShard(f"{self._table_path}: has {found} rows for {len(self._spec)} samples")
                rows: list[dict[str, Any]] = file.read().to_pylist()
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DamagedShard(f"{self._table_path}: not a readable row table ({type(error).__name__})") from error
        if _digest(rows) != self.mark.rows_sha256:
            raise DamagedShard(f"{self._table_path}: its rows changed since they were written (checksum)")
        # Keys become file names in an export: none but those that dsfactory gives may pass.
        numbers = range(self._spec.start, self._spec.stop)
        if [row.get("key") for row in rows] != [self._key(number) for number in numbers]:
            raise DamagedShard(f"{self._table_path}: its keys are not those of its samples")
        for number, row in zip(numbers, rows, strict=True):
            if row.get("number", number) != number:
                raise DamagedShard(f"{self._table_path}: sample {row['key']} has the number {str(row['number'])[:20]}")
            if fault := row_fault(row, self._classes):
                raise DamagedShard(f"{self._table_path}: sample {row['key']}: {fault}")
        return [Parts(row, f"{self._table_path}: sample {row['key']}") for row in rows]

    def verify(self) -> None:
        """Compare the tar with its checksum.

        Raises:
            DamagedShard: the bytes differ.
        """
        if not self.mark.tar_sha256:
            return
        with open_stored(self._tar_path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.mark.tar_sha256:
            raise DamagedShard(f"{self._tar_path}: its bytes changed since it was written (checksum)")

    def records(self) -> Iterator[Record]:
        """Every sample with its files, one at a time; the checksum is compared before the first.

        Raises:
            DamagedShard: the tar does not hold what the table says.
        """
        self.verify()
        groups = self._groups() if self.mark.tar_sha256 else iter(())
        pending = next(groups, None)
        for row in self.rows:
            files: dict[str, bytes] = {}
            if pending is not None and pending[0] == row["key"]:
                files = pending[1]
                pending = next(groups, None)
            yield Record(row["key"], row, Parts(files, f"{self._tar_path}: sample {row['key']}"))
        if pending is not None:
            raise DamagedShard(f"{self._tar_path}: sample {pending[0]} has no row")

    def _groups(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        key: str | None = None
        files: dict[str, bytes] = {}
        try:
            with open_stored(self._tar_path) as file, tarfile.open(fileobj=_BoundedReader(file), mode="r:") as tar:  # type: ignore[call-overload]
                for member in tar:
                    name, _, extension = member.name.partition(".")
                    if name != key:
                        if key is not None:
                            yield key, files
                        key, files = name, {}
                    # A sparse member may claim any size: a few bytes on disk would fill the memory.
                    content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                    if content is None:
                        raise DamagedShard(f"{self._tar_path}: {member.name!r} is not a plain file")
                    files[extension] = content.read()
        except (OSError, tarfile.TarError) as error:
            raise DamagedShard(f"{self._tar_path}: not a readable tar ({type(error).__name__})") from error
        if key is not None:
            yield key, files
