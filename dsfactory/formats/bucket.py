"""An export in a bucket, where nothing can be renamed.

Files go up as they are made, those that name all others last, and ``dsfactory.json``, the done-mark, after them: until
it is there, there is no export. Before any file, its name goes into a journal below ``.dsfactory/``, so that what an
interrupted export left is known as ours and is cleared by the next one, and nothing else is.
"""

import contextlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from dsfactory.errors import DsfactoryError, UserError
from dsfactory.formats.checker import is_within
from dsfactory.formats.manifest import MANIFEST, check_replaceable, files_of, manifest_bytes, parse_manifest
from dsfactory.storage.lease import Lease
from dsfactory.storage.remote import register, unregister
from dsfactory.storage.store import Store

HIDDEN = ".dsfactory"
_JOURNAL = re.compile(r"files-[0-9]{6}\.json")

BATCH_FILES = 64
BATCH_BYTES = 64 * 2**20
"""So much waits on the disk before it is uploaded."""


class BucketTarget:
    """Where an export is to appear in a bucket.

    Args:
        url: of the place.
    """

    def __init__(self, url: str) -> None:
        self._store = Store(url)

    def manifest(self) -> dict[str, Any] | None:
        """That of the export that is there; None when there is none, or an interrupted one. Writes nothing.

        Raises:
            UserError: there is something else.
        """
        entries = self._store.entries()
        if not entries:
            self._store.check_bucket()
        if MANIFEST in entries:
            return parse_manifest(self._store.read(MANIFEST) or b"", f"{self._store.url}/{MANIFEST}")
        if entries.keys() - {HIDDEN} and not _journals(self._store):
            raise UserError(
                f"{self._store.url} is not empty and not an export of dsfactory: name a new or empty place with --out"
            )
        return None

    def check_replaceable(self, manifest: dict[str, Any]) -> None:
        """See :func:`~dsfactory.formats.manifest.check_replaceable`."""
        found = Counter(os.path.dirname(name) or "." for name in _visible(self._store))
        check_replaceable(manifest, found, self._store.url)

    @contextlib.contextmanager
    def writing(self) -> Iterator["BucketExport"]:
        """The export being written, held by its lock for the block. Clears what an interrupted one left.

        Raises:
            RunLocked: another process is exporting to the place.
            UserError: it holds something that is not ours, or the store cannot be used.
        """
        self.manifest()
        with (
            tempfile.TemporaryDirectory(prefix="dsfactory-export-") as name,
            Lease(self._store, f"{HIDDEN}/lock") as lease,
        ):
            _clear(self._store)
            self.manifest()
            export = BucketExport(self._store, Path(name).resolve(), lease)
            register(export.staging, export, self._store.url)
            try:
                yield export
            except Exception:
                with contextlib.suppress(DsfactoryError):  # the next export does it
                    _clear(self._store)
                raise
            finally:
                unregister(export.staging)


class BucketExport:
    """An export that is being written; made by :meth:`BucketTarget.writing`.

    Attributes:
        staging: an empty local folder for the dataset's files. One that is complete is handed over by
            :func:`dsfactory.storage.remote.published`, and soon holds nothing any more.
    """

    def __init__(self, store: Store, staging: Path, lease: Lease) -> None:
        self.staging = staging
        self._store, self._lease = store, lease
        self._waiting: dict[str, int] = {}
        self._journals = 0

    def finish(self, manifest: dict[str, Any]) -> None:
        """Upload what is left, then the manifest."""
        self._flush()
        for path in sorted(self.staging.rglob("*")):
            if path.is_file() and path.stat().st_mtime_ns != 0:
                self.publish(path, path)
        self._flush()
        self._lease.check()
        self._store.write(MANIFEST, manifest_bytes(manifest, files_of(self.staging)))
        _clear(self._store)

    def publish(self, path: Path, content: Path) -> None:
        """A file of the dataset is complete: it goes up with the next batch."""
        self._waiting[path.relative_to(self.staging).as_posix()] = content.stat().st_size
        if len(self._waiting) >= BATCH_FILES or sum(self._waiting.values()) >= BATCH_BYTES:
            self._flush()

    def open(self, path: Path, keep: bool) -> BufferedReader:
        return open(path, "rb")

    def bring(self, paths: Iterable[Path]) -> None:
        raise NotImplementedError("an export is written by one process")

    def hold(self, path: Path) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError("an export is locked as a whole")

    def _flush(self) -> None:
        if not self._waiting:
            return
        self._lease.check()
        if self._journals == 0 and (old := _visible(self._store)):
            self._note(old)
            self._store.delete([MANIFEST])
            self._store.delete(name for name in old if name != MANIFEST)
        self._note(list(self._waiting))
        self._store.upload([(self.staging / name, name) for name in self._waiting])
        for name in self._waiting:
            os.truncate(self.staging / name, 0)  # it still counts, takes no room, and is told by the time 0
            os.utime(self.staging / name, ns=(0, 0))
        self._waiting.clear()

    def _note(self, names: list[str]) -> None:
        self._store.write(f"{HIDDEN}/files-{self._journals:06d}.json", json.dumps(names).encode())
        self._journals += 1


def _visible(store: Store) -> list[str]:
    """Every file of the export that is there."""
    return [name for name in store.find() if not name.startswith(f"{HIDDEN}/")]


def _clear(store: Store) -> None:
    """Delete the journals; without a manifest, first the files that are noted there."""
    journals = _journals(store)
    if journals and MANIFEST not in store.entries():
        for journal in journals:
            store.delete(_named(store.read(f"{HIDDEN}/{journal}")))
    store.delete(f"{HIDDEN}/{journal}" for journal in journals)


def _journals(store: Store) -> list[str]:
    return sorted(filter(_JOURNAL.fullmatch, store.entries(HIDDEN)))


def _named(journal: bytes | None) -> list[str]:
    """The names in a journal, none that could mean another object."""
    names = json.loads(journal or b"[]")
    return [name for name in names if is_within(name)]
