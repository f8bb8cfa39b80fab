"""What is brought back: a file, a folder or a zip, read in place; nothing is ever unpacked to the disk."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Self

from dsfactory.errors import UserError

MAX_BYTES = 1 << 30
"""Largest file that is read: a small zip can claim any size."""


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"{path} is not a readable zip ({error})") from error


class Source:
    """The files of a folder or a zip by their relative names; a single file is a folder that holds only it."""

    def __init__(self, path: Path, names: list[str], archive: zipfile.ZipFile | None) -> None:
        self.path = path
        self.names = sorted(names)
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
        """Names that match one of the patterns, which may begin anywhere in the path: ``SegmentationClass/*.png``."""
        return [name for name in self.names if any(PurePosixPath(name).match(pattern) for pattern in patterns)]

    def by_key(self, *patterns: str) -> dict[str, str]:
        """Those names by sample key, which is the file's name without its extension."""
        return {PurePosixPath(name).stem: name for name in self.find(*patterns)}

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """One of the files, open for reading.

        Raises:
            UserError: it is larger than MAX_BYTES, or cannot be unpacked.
        """
        size = self._archive.getinfo(name).file_size if self._archive else (self.path / name).stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{self.path}: {name} has {size} bytes, more than {MAX_BYTES}: give it in parts")
        if self._archive is None:
            with open(self.path / name, "rb") as file:
                yield file
            return
        try:
            member = self._archive.open(name)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # the last: it has a password
            raise UserError(f"{self.path}: {name} cannot be unpacked ({error})") from error
        with member:
            try:
                yield member
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise UserError(f"{self.path}: {name} is damaged ({error})") from error

    def read(self, name: str) -> bytes:
        """One of the files as bytes; errors as :meth:`file`."""
        with self.file(name) as file:
            return file.read(MAX_BYTES)

    def read_if(self, name: str | None) -> bytes | None:
        """One of the files as bytes, where there is one."""
        return None if name is None else self.read(name)
