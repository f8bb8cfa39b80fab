"""Which local folders stand for places in an object store. Without any, nothing here costs anything.

A command that is given ``s3://bucket/a`` works in a private local folder, its mirror (see
:mod:`dsfactory.storage.mirror`), and the code that reads and writes files asks here whether a path belongs to one.
"""

import os
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from dsfactory.errors import UserError

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
"""Protocols of object stores, where a file appears whole or not at all, and the package that speaks each."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")


class Mirror(Protocol):
    """A local folder that stands for a place in a store."""

    def publish(self, path: Path, content: Path) -> None:
        """Upload a file that is complete: its content, under the name that ``path`` stands for."""

    def open(self, path: Path, keep: bool) -> BufferedReader:
        """Open a file for reading, after fetching it if need be."""

    def bring(self, paths: Iterable[Path]) -> None:
        """Have these files as they are in the store by now; those that are not there are left out."""

    def hold(self, path: Path) -> AbstractContextManager[None]:
        """Hold the lock of this name in the store for the block."""


_mirrors: dict[Path, Mirror] = {}
_names: dict[str, str] = {}
"""URLs by folder; they outlast the mirrors, for errors are told at the very end."""


def register(root: Path, mirror: Mirror, url: str) -> None:
    """From here on, the absolute folder ``root`` stands for ``url``, also in what is said to the user."""
    _mirrors[root] = mirror
    _names[str(root)] = url


def unregister(root: Path) -> None:
    """The folder stands for nothing any more; messages about it still name the URL."""
    del _mirrors[root]


def mirror_of(path: Path) -> Mirror | None:
    """The mirror that a path lies in; None for a plain local path."""
    if not _mirrors:
        return None
    absolute = Path(os.path.abspath(path))
    return next((mirror for root, mirror in _mirrors.items() if absolute.is_relative_to(root)), None)


def place_of(path: Path) -> tuple[str, Path] | None:
    """URL and folder of the mirror that a path lies in; None for a plain local path."""
    mirror = mirror_of(path)
    root = next((root for root, found in _mirrors.items() if found is mirror), None)
    return (_names[str(root)], root) if root is not None else None


def published(path: Path, content: Path) -> None:
    """A file is complete: upload it if ``path`` lies in a mirror; ``content`` is where its bytes are at the moment."""
    mirror = mirror_of(path)
    if mirror is not None:
        mirror.publish(path, content)


def finished_elsewhere(*paths: Path) -> None:
    """Another machine has finished these files of one folder; in a mirror they appear by this."""
    mirror = mirror_of(paths[0])
    if mirror is not None:
        mirror.bring(paths)


def open_stored(path: Path, keep: bool = False) -> BufferedReader:
    """Open a shard's tar for reading; one that lies in a bucket is fetched first.

    Args:
        path: the file.
        keep: it will be read again and again, in no order: do not make room by giving it up.
    """
    mirror = mirror_of(path)
    return open(path, "rb") if mirror is None else mirror.open(path, keep)


def shown(text: str) -> str:
    """A text for the user, with URLs in place of the folders that stand for them."""
    for folder, url in _names.items():
        text = text.replace(folder, url)
    return text


def remote_url(path: Path) -> str | None:
    """The URL that a path from the command line is; None for a local path.

    ``Path`` makes ``s3:/bucket/a`` of ``s3://bucket/a``, which no local path is.

    Raises:
        UserError: a protocol that dsfactory does not write to, or a URL that names no place within a bucket.
    """
    match = _URL.fullmatch(str(path))
    if match is None or path.exists():
        return None
    protocol, place = match[1].lower(), match[2].strip("/")
    if protocol not in PACKAGES:
        raise UserError(
            f"{match[1]}:// is no object store that dsfactory knows (s3://, gs://, az://): use one, or a folder"
        )
    bucket, _, key = place.partition("/")
    if not key:
        raise UserError(
            f"{protocol}://{place} names no place within a bucket: write {protocol}://{bucket or 'BUCKET'}/a"
        )
    if any(part in ("..", ".", "") for part in key.split("/")) or re.search(r"[?#*\[\]\x00-\x1f]|::", place):
        raise UserError(f"{protocol}://{place} is not a plain path within a bucket")
    return f"{protocol}://{place}"
