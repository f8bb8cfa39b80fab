"""Where in a COCO file what stands, found without holding the file in memory: annotations are read one at a time."""

import json
import zlib
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dsfactory.errors import UserError

CHUNK = 1 << 20
"""Bytes that are read at once."""
MAX_VALUE = 1 << 28
"""Longest value in bytes that is read whole: an image with a million corners has a tenth of it."""

_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()

Place = tuple[int, int]
"""First byte and length of a value."""


@dataclass(frozen=True)
class Listed:
    """An image of a COCO file.

    Attributes:
        number: its id.
        name: ``file_name``.
        size: height and width, as far as the file says them.
        made: prompt, model and seed, where the file says that a model drew it.
        places: of its annotations, in the file's order.
        mark: tells its annotations from others.
    """

    number: int | str | None
    name: str
    size: tuple[Any, Any]
    made: dict[str, Any] | None
    places: list[Place]
    mark: str


@dataclass(frozen=True)
class Scanned:
    """A COCO file. Memory grows by some 200 bytes per image and 32 per annotation.

    Attributes:
        categories: names by id, in the file's order.
        lost: annotations of images that are not listed.
    """

    categories: dict[int | str, str]
    images: list[tuple[int | str | None, str, tuple[Any, Any], dict[str, Any] | None]]
    starts: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]
    sums: np.ndarray[Any, Any]
    first: np.ndarray[Any, Any]
    lost: int

    def listed(self) -> Iterator[Listed]:
        """The images in the file's order."""
        for place, (number, name, size, made) in enumerate(self.images):
            own = slice(self.first[place], self.first[place + 1])
            places = list(zip(self.starts[own].tolist(), self.lengths[own].tolist(), strict=True))
            yield Listed(number, name, size, made, places, f"{zlib.crc32(self.sums[own].tobytes()):08x}")


def scan(path: Path) -> Scanned:
    """Read a COCO file once; a file that is as it was is not read again.

    Raises:
        UserError: it is none.
    """
    found = path.stat()
    return _scan(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=8)
def _scan(path: Path, size: int, changed: int) -> Scanned:
    categories: dict[int | str, str] = {}
    images: list[tuple[int | str | None, str, tuple[Any, Any], dict[str, Any] | None]] = []
    ids: dict[Any, int] = {}
    owners, starts, lengths, sums = array("q"), array("q"), array("q"), array("L")
    seen = set()
    with path.open("rb") as file:
        for part, value, data, start in _values(file, path, {"images", "annotations", "categories"}):
            seen.add(part)
            if not isinstance(value, dict):
                continue  # the end of the list, or no entry at all
            if part == "annotations":
                owners.append(ids.setdefault(_number(value, "image_id"), len(ids)))
                starts.append(start)
                lengths.append(len(data))
                sums.append(zlib.crc32(data))
            elif part == "categories":
                categories[_number(value, "id") or 0] = str(value.get("name"))
            else:
                name = value.get("file_name")
                size_said = value.get("height"), value.get("width")
                names = ("prompt", "model", "image_seed")
                made = {one: value.get(one) for one in names} if value.get("image_seed") is not None else None
                images.append((_number(value, "id"), name if isinstance(name, str) else "", size_said, made))
    if missing := {"images", "annotations", "categories"} - seen:
        raise UserError(f"{path} cannot be read as COCO: it has no list of {min(missing)}")
    places = {number: place for place, (number, *_) in reversed(list(enumerate(images)))}
    by_id = np.full(len(ids), len(images), dtype=np.int64)
    for number, index in ids.items():
        by_id[index] = places.get(number, len(images))
    owner = by_id[np.frombuffer(owners, dtype=np.int64)] if len(owners) else np.zeros(0, dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(len(images) + 1))
    begins, sizes, checks = (np.array(part, dtype=np.int64)[order] for part in (starts, lengths, sums))
    return Scanned(categories, images, begins, sizes, checks, first, int(np.count_nonzero(owner == len(images))))


def read_at(path: Path, places: Collection[Place]) -> list[dict[str, Any]]:
    """Annotations by where they stand.

    Raises:
        ValueError: the file has changed since it was scanned.
    """
    found = []
    with path.open("rb") as file:
        for start, length in places:
            file.seek(start)
            try:
                value = json.loads(file.read(length))
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise ValueError(f"{path.name} has changed since the run was begun")
            found.append(value)
    return found


def _number(item: dict[str, Any], name: str) -> int | str | None:
    value = item.get(name)
    return value if isinstance(value, int | str) else None


def _values(file: BinaryIO, path: Path, wanted: Collection[str]) -> Iterator[tuple[str, Any, bytes, int]]:
    """Every entry of the wanted lists of a JSON object: list, value, bytes, and where they begin; None ends a list.

    Raises:
        UserError: the file is no JSON object.
    """
    reader = _Reader(file, path)
    reader.take("{")
    while not reader.sees("}"):
        name, _, _ = reader.value()
        reader.take(":")
        if name in wanted and reader.sees("["):
            reader.take("[")
            while not reader.sees("]"):
                yield (name, *reader.value())
                reader.pass_over(",")
            reader.take("]")
            yield name, None, b"", 0
        else:
            reader.value()
        reader.pass_over(",")


class _Reader:
    """JSON values from a file, one after the other.

    Bytes are taken for Latin-1, in which each is a character: places in the text are places in the file. What is not
    ASCII is decoded again.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._text, self._start, self._at, self._ended = "", 0, 0, False
        self._more()
        if self._text.startswith("\xef\xbb\xbf"):
            self._at = 3

    def _more(self) -> None:
        data = self._file.read(CHUNK)
        self._start += self._at
        self._text, self._at = self._text[self._at :] + data.decode("latin-1"), 0
        self._ended = not data

    def _skip(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more()

    def sees(self, mark: str) -> bool:
        return self._skip() == mark

    def take(self, mark: str) -> None:
        if self._skip() != mark:
            raise self._fault()
        self._at += 1

    def pass_over(self, mark: str) -> None:
        """Take a mark if it is the next."""
        if self.sees(mark):
            self.take(mark)

    def value(self) -> tuple[Any, bytes, int]:
        self._skip()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or self._ended:  # a number may go on in what is not read yet
                    break
            except (ValueError, RecursionError):
                if self._ended or len(self._text) - self._at > MAX_VALUE:
                    raise self._fault() from None
            self._more()
        text, start = self._text[self._at : end], self._start + self._at
        self._at = end
        data = text.encode("latin-1")
        if not text.isascii():
            try:
                value = json.loads(data)
            except ValueError:
                raise UserError(f"{self._path} cannot be read as COCO: it is not UTF-8 text") from None
        return value, data, start

    def _fault(self) -> UserError:
        return UserError(f"{self._path} cannot be read as COCO: it is no JSON at byte {self._start + self._at:,}")
