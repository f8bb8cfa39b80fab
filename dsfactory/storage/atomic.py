"""Files that are either there in full or not there at all."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dsfactory.storage.remote import published

_TEMPORARY = re.compile(r"^\..+\.[0-9a-f]{12}\.tmp$")

_unfinished: set[Path] = set()
"""Temporary files that this process is writing."""


def temporary_path(path: Path) -> Path:
    """A fresh hidden name beside ``path``, recognised by :func:`remove_leftovers`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def fsync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, so that they survive a power cut. It may be there."""
    fresh = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in fresh:
        fsync_folder(folder.parent)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under ``path`` only when the block ends without an error.

    Temporary name in the same folder, fsync, rename, fsync of the folder; on an error or a signal the
    temporary file is removed. A killed process leaves it behind for :func:`remove_leftovers`. In a mirror of a bucket
    the file is uploaded before it appears.
    """
    temporary = temporary_path(path)
    _unfinished.add(temporary)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        published(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)
        raise
    _unfinished.discard(temporary)
    fsync_folder(path.parent)


def discard_unfinished() -> None:
    """Remove what an interrupted process of ours was writing; call it once, on the way out.

    A signal may strike between two steps of a ``with`` statement, where no handler of :func:`atomic_file` runs.
    """
    while _unfinished:
        _unfinished.pop().unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one visible step."""
    with atomic_file(path) as file:
        file.write(data)


def is_leftover(path: Path) -> bool:
    """Whether a killed process of ours left this temporary file."""
    return path.is_file() and _TEMPORARY.match(path.name) is not None


def remove_leftovers(folder: Path) -> list[str]:
    """Delete temporary files that a killed process left in ``folder``; return their names.

    Call it only while holding the run's lock, so that no live writer loses its file.
    """
    names = [entry.name for entry in folder.iterdir() if is_leftover(entry)]
    for name in names:
        (folder / name).unlink()
    return names
