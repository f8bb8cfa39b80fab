"""What is brought back: a file, a folder or a zip, read in place; nothing is ever unpacked to the disk."""

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Self

from dsfactory.errors import UserError

MAX_BYTES = 1 << 30
"""Largest file that is read: a small zip can claim any size."""

_OURS = ("dsfactory.json", "labels.json", "metainfo.json", "croissant.json")
"""Files of exports that hold no labels."""


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"{path} is not a readable zip: make it again, or unpack it") from error


def _is_content(name: str) -> bool:
    """Whether a file was meant: macOS and other systems leave files of their own beside those of the user."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


class Source:
    """The files of a folder or a zip by their relative names; a single file is a folder that holds only it.

    Hidden files are passed over, and names from Windows have slashes.
    """

    def __init__(self, path: Path, names: list[str], archive: zipfile.ZipFile | None) -> None:
        self.path = path
        self._members = {name.replace("\\", "/"): name for name in names}
        self.names = sorted(filter(_is_content, self._members))
        self._archive = archive

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open it for the block.

        Raises:
            UserError: it is not there, or a damaged zip.
        """
        if path.is_dir():
            yield cls(path, [item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file()], None)
        elif path.is_file() and zipfile.is_zipfile(path):
            with _opened(path) as archive:
                yield cls(path, [item.filename for item in archive.infolist() if not item.is_dir()], archive)
        elif path.is_file():
            yield cls(path.parent, [path.name], None)
        else:
            raise UserError(f"{path} is not there: name the file, zip or folder that the other tool wrote")

    def find(self, *patterns: str) -> list[str]:
        """Names that match one of the patterns, which may begin anywhere in the path: ``SegmentationClass/**/*.png``.

        ``**`` stands for any folders, or none. What an export of dsfactory says of itself is none of them.
        """
        wanted = re.compile("|".join(f"(?:.*/)?{_as_regex(pattern)}" for pattern in patterns), re.DOTALL)
        return [name for name in self.names if name.rpartition("/")[2] not in _OURS and wanted.fullmatch(name)]

    def below(self, folder: str, pattern: str = "*") -> "Files":
        """The files in a folder and below it."""
        return Files(self.find(f"{folder}/**/{pattern}"), folder)

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """One of the files, open for reading.

        Raises:
            UserError: it is larger than MAX_BYTES, or cannot be unpacked.
        """
        inside = self._members[name]
        size = self._archive.getinfo(inside).file_size if self._archive else (self.path / inside).stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{self.path}: {name} has {size} bytes, more than {MAX_BYTES}: give it in parts")
        if self._archive is None:
            with open(self.path / inside, "rb") as file:
                yield file
            return
        try:
            member = self._archive.open(inside)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # the last: it has a password
            secret = isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError)
            why = "it has a password" if secret else "it is damaged, or packed in a way that is not known here"
            raise UserError(f"{self.path}: {name} cannot be unpacked: {why}") from error
        with member:
            try:
                yield member
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise UserError(f"{self.path}: {name} is damaged: make the zip again") from error

    def read(self, name: str) -> bytes:
        """One of the files as bytes; errors as :meth:`file`."""
        with self.file(name) as file:
            return file.read(MAX_BYTES)


class Files:
    """Files of one image each, found by what another file of the same image is called.

    Args:
        names: in the source.
        folder: that they are in, which may be anywhere.
    """

    def __init__(self, names: Iterable[str], folder: str) -> None:
        found: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            for end in _ends(f"/{name}".rpartition(f"/{folder}/")[2]):
                found.setdefault(end, []).append(name)
        self._alone = {end: same[0] for end, same in found.items() if len(same) == 1}

    def of(self, name: str) -> str | None:
        """The one file that is called so, whatever its extension: with its folders, or as many of them as both have."""
        return next((self._alone[end] for end in _ends(name) if end in self._alone), None)


def _ends(name: str) -> Iterator[tuple[str, ...]]:
    """A name's parts without its extension: all of them, all but the first, down to the last alone."""
    parts = PurePosixPath(name.replace("\\", "/")).with_suffix("").parts
    return (parts[place:] for place in range(len(parts)))


def _as_regex(pattern: str) -> str:
    """A pattern with ``*`` within a name and ``**`` for folders as a regular expression."""
    parts = ("**" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") for part in pattern.split("/"))
    return "/".join(parts).replace("**/", "(?:[^/]+/)*")
