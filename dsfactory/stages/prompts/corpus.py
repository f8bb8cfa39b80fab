"""Caption corpora: the bundled ones, and the user's txt, csv, tsv, jsonl and parquet files, read as a stream."""

import csv
import gzip
import hashlib
import json
import os
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from dsfactory.errors import UserError
from dsfactory.stages.prompts.resources import data_file

MAX_LINE = 1 << 20
"""Longest line in bytes: a file without line ends (an image, say) must not fill the memory."""

_MAX_TEXT = 4000
"""Longest caption in characters; text encoders read about 300."""

_FORMATS = (".txt", ".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class _BuiltIn:
    file: str
    column: str
    source: str
    number: str | None
    """Column that identifies a caption; None counts lines."""


BUILT_IN = {
    "coco": _BuiltIn("coco_val2017_captions.jsonl.gz", "caption", "coco-val2017", "id"),
    "parti": _BuiltIn("parti_prompts.tsv.gz", "Prompt", "parti", None),
}


@dataclass(frozen=True)
class Caption:
    """A caption, one line of printable text in Unicode NFC, and where it stands."""

    text: str
    source: str


class Corpus:
    """A caption corpus by its built-in name or its path. Memory does not grow with the file.

    Args:
        name: ``"coco"``, ``"parti"`` or a path; the format is told by the file name.
        column: column with the captions; None takes a built-in corpus's own, ``"caption"`` in a file.

    Raises:
        UserError: there is no such corpus, or its format is unknown.
    """

    def __init__(self, name: str, column: str | None = None) -> None:
        built_in = BUILT_IN.get(name)
        self.name = name
        self.path = data_file(built_in.file) if built_in else Path(os.path.expanduser(name))
        self.column = column or (built_in.column if built_in else "caption")
        self._source = built_in.source if built_in else "file"
        self._number = built_in.number if built_in else None
        if not os.path.isfile(self.path):  # False for what cannot be a path at all, where Path.is_file raises
            what = "is a folder" if os.path.isdir(self.path) else "is not there"
            raise UserError(f"corpus {name[:200]!r} {what}: name a file, or a built-in corpus ({', '.join(BUILT_IN)})")
        bare = self.path.name.lower().removesuffix(".gz")
        self._format = next((form for form in _FORMATS if bare.endswith(form)), "")
        if self.path.name.lower().endswith(".parquet"):
            self._format = ".parquet"
        if not self._format:
            raise UserError(
                f"corpus {name!r} has an unknown format: use {', '.join(_FORMATS)} (each may be .gz) or .parquet"
            )

    def sha256(self) -> str:
        """Hex digest of the file's bytes."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"corpus {self.name!r} cannot be read: {error.strerror}") from error

    def check(self) -> None:
        """Read the first caption, so that most mistakes are found before anything is written.

        Raises:
            UserError: unreadable, no such column, or no captions.
        """
        next(self.captions())

    def captions(self) -> Iterator[Caption]:
        """Every caption in the order of the file; empty ones are skipped.

        Raises:
            UserError: the file is damaged, not UTF-8 (the line is named), lacks the column (those it has
                are named), or holds no captions at all.
        """
        empty = True
        for number, value in self._rows():
            text = _tidy(value)
            if text:
                empty = False
                yield Caption(text, f"{self._source}:{number}")
        if empty:
            raise UserError(f"corpus {self.name!r} holds no captions")

    def _rows(self) -> Iterator[tuple[Any, str]]:
        """Pairs of line number (or id) and text."""
        try:
            if self._format == ".txt":
                yield from self._lines()
            elif self._format == ".jsonl":
                yield from self._json_rows()
            elif self._format == ".parquet":
                yield from self._parquet_rows()
            else:
                yield from self._table_rows("\t" if self._format == ".tsv" else ",")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"corpus {self.name!r} is a damaged gzip file") from error
        except OSError as error:
            raise UserError(f"corpus {self.name!r} cannot be read: {error.strerror or error}") from error

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Numbered lines with their line ends."""
        with self._open() as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise UserError(f"corpus {self.name!r}, line {number}: longer than 1 MiB; is it a text file?")
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise UserError(
                        f"corpus {self.name!r}, line {number}: not UTF-8 (byte 0x{line[error.start]:02x} at "
                        f"column {error.start + 1}); convert it, e.g. with 'iconv -f latin1 -t utf-8'"
                    ) from error

    def _open(self) -> BinaryIO:
        if self.path.name.lower().endswith(".gz"):
            return cast(BinaryIO, gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def _table_rows(self, delimiter: str) -> Iterator[tuple[int, str]]:
        # PartiPrompts and most tab-separated dumps do not quote: a quotation mark there is just a character.
        quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
        reader = csv.reader((line for _, line in self._lines()), delimiter=delimiter, quoting=quoting)
        try:
            header = next(reader, None)
            if header is None:
                return
            names = [name.strip() for name in header]
            place = self._place(names)
            line = reader.line_num + 1
            for row in reader:
                if len(row) > place:
                    yield line, row[place]
                line = reader.line_num + 1
        except csv.Error as error:
            # Lines are no longer than that: only what a quotation mark holds together can be.
            reason = "a text in quotation marks is longer than 1 MiB: is one not closed? (or it is no CSV)"
            raise UserError(f"corpus {self.name!r}, line {reader.line_num}: {reason}") from error

    def _place(self, names: list[str]) -> int:
        if self.column not in names:
            shown = ", ".join(_tidy(name)[:40] for name in names[:20]) or "none"
            raise UserError(
                f"corpus {self.name!r} has no column {self.column!r}: its columns are {shown} (choose with --column)"
            )
        return names.index(self.column)

    def _json_rows(self) -> Iterator[tuple[Any, str]]:
        first = True
        for number, line in self._lines():
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"corpus {self.name!r}, line {number}: not JSON") from error
            if not isinstance(row, dict):
                raise UserError(f'corpus {self.name!r}, line {number}: not a JSON object such as {{"caption": "…"}}')
            if first:
                self._place(list(row))
                first = False
            value = row.get(self.column)
            if value is None:
                continue
            if not isinstance(value, str):
                raise UserError(
                    f"corpus {self.name!r}, line {number}: {self.column!r} is a {type(value).__name__}, not text"
                )
            yield (row[self._number] if self._number else number), value

    def _parquet_rows(self) -> Iterator[tuple[int, str]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                schema = file.schema_arrow
                self._place(schema.names)
                if schema.names.count(self.column) > 1:
                    raise UserError(f"corpus {self.name!r} has several columns {self.column!r}: rename all but one")
                kind = schema.field(self.column).type
                text = kind.value_type if pa.types.is_dictionary(kind) else kind
                if not (pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_string_view(text)):
                    raise UserError(f"corpus {self.name!r}: the column {self.column!r} holds {kind}, not text")
                number = 0
                for batch in file.iter_batches(batch_size=4096, columns=[self.column]):
                    for value in batch.column(0).to_pylist():
                        number += 1
                        if value is not None:
                            yield number, value
        except UnicodeDecodeError as error:
            raise UserError(f"corpus {self.name!r}: the column {self.column!r} holds text that is not UTF-8") from error
        except pa.ArrowException as error:
            raise UserError(f"corpus {self.name!r} is not a readable parquet file") from error


def _tidy(text: str) -> str:
    """One line of printable text in NFC: control characters and terminal escapes become spaces.

    A long text is cut: no model reads so far, and normalising a long run of accents takes time quadratic in its length.
    """
    normal = unicodedata.normalize("NFC", text[:_MAX_TEXT])
    if not normal.isprintable():
        normal = "".join(character if character.isprintable() else " " for character in normal)
    return " ".join(normal.split())
