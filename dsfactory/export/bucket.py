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
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from dsfactory.core.errors import DsfactoryError, UserError
from dsfactory.core.lease import Lease
from dsfactory.core.remote import register, unregister
from dsfactory.core.store import Store
from dsfactory.export.folder import MANIFEST, files_of, manifest_bytes, parse_manifest

HIDDEN = ".dsfactory"
_JOURNAL = re.compile(r"files-[0-9]{6}\.json")

BATCH_FILES = 64
BATCH_BYTES = 64 * 2**20
"""So much waits on the disk before it is uploaded."""


class BucketExport:
    """The place of one export, locked; made by :func:`bucket_export`.

    Attributes:
        staging: an empty local folder, in which the dataset is written. A file that is complete is handed over by
            :func:`dsfactory.core.remote.published`, and soon holds nothing any more.
    """

    def __init__(self, store: Store, staging: Path, lease: Lease) -> None:
        self.staging = staging
        self._store, self._lease = store, lease
        self._waiting: dict[str, int] = {}
        self._journals = 0
        self._old: list[str] = []

    def manifest(self) -> dict[str, Any] | None:
        """That of the export that is there. Clears what an interrupted one left.

        Raises:
            UserError: there is something else.
        """
        found = _examine(self._store)
        self.clear(noted=found is None)
        others = [name for name in self._store.entries() if name != HIDDEN]
        if found is None and others:
            raise UserError(f"{self._store.url} holds files that dsfactory did not write: name another --out")
        return found

    def clear(self, noted: bool = True) -> None:
        """Delete the journals, after the files that are noted there."""
        journals = _journals(self._store)
        if noted:
            for journal in journals:
                self._store.delete(_named(self._store.read(f"{HIDDEN}/{journal}")))
        self._store.delete(f"{HIDDEN}/{journal}" for journal in journals)

    def check_replaceable(self, manifest: dict[str, Any]) -> None:
        """Make sure that the export holds no file beyond those that dsfactory wrote.

        Raises:
            UserError: somebody put more files in.
        """
        self._old = [name for name in self._store.find() if not name.startswith(f"{HIDDEN}/")]
        expected = Counter(manifest["files"])
        expected["."] += 1  # the manifest
        for folder, count in Counter(os.path.dirname(name) or "." for name in self._old).items():
            if count > expected[folder]:
                raise UserError(
                    f"{self._store.url}/{folder} holds files that dsfactory did not write: move them away, or name "
                    "another --out"
                )

    def finish(self, manifest: dict[str, Any]) -> None:
        """Upload what is left, then the manifest."""
        self._flush()
        for path in sorted(self.staging.rglob("*")):
            if path.is_file() and path.stat().st_mtime_ns != 0:
                self.publish(path, path)
        self._flush()
        self._lease.check()
        self._store.write(MANIFEST, manifest_bytes(manifest, files_of(self.staging)))
        self.clear(noted=False)

    def publish(self, path: Path, content: Path) -> None:
        """A file of the dataset is complete: it goes up with the next batch."""
        self._waiting[path.relative_to(self.staging).as_posix()] = content.stat().st_size
        if len(self._waiting) >= BATCH_FILES or sum(self._waiting.values()) >= BATCH_BYTES:
            self._flush()

    def open(self, path: Path, keep: bool) -> BufferedReader:
        return open(path, "rb")

    def hold(self, path: Path) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError("an export is locked as a whole")

    def _flush(self) -> None:
        self._lease.check()
        if self._old:
            self._note(self._old)
            self._store.delete([MANIFEST])
            self._store.delete(name for name in self._old if name != MANIFEST)
            self._old = []
        if not self._waiting:
            return
        self._note(list(self._waiting))
        self._store.upload([(self.staging / name, name) for name in self._waiting])
        for name in self._waiting:
            os.truncate(self.staging / name, 0)  # it still counts, takes no room, and is told by the time 0
            os.utime(self.staging / name, ns=(0, 0))
        self._waiting.clear()

    def _note(self, names: list[str]) -> None:
        self._store.write(f"{HIDDEN}/files-{self._journals:06d}.json", json.dumps(names).encode())
        self._journals += 1


@contextlib.contextmanager
def bucket_export(url: str) -> Iterator[BucketExport]:
    """The place of an export at a URL, held by its lock for the block.

    Raises:
        RunLocked: another process is exporting to it.
        UserError: it holds something that is not ours, or the store cannot be used.
    """
    store = Store(url)
    _examine(store)
    with (
        tempfile.TemporaryDirectory(prefix="dsfactory-export-") as name,
        Lease(store, f"{HIDDEN}/lock") as lease,
    ):
        staging = Path(name).resolve()
        export = BucketExport(store, staging, lease)
        register(staging, export, url)
        try:
            yield export
        except Exception:
            with contextlib.suppress(DsfactoryError):  # the next export does it
                export.clear(noted=MANIFEST not in store.entries())
            raise
        finally:
            unregister(staging)


def manifest_at(url: str) -> dict[str, Any] | None:
    """The manifest of the export at a URL, or None where a new one may be made. Writes nothing.

    Raises:
        UserError: there is something else, or the store cannot be used.
    """
    return _examine(Store(url))


def _examine(store: Store) -> dict[str, Any] | None:
    """The manifest of the export that is there; None when there is none, or an interrupted one. Writes nothing.

    Raises:
        UserError: there is something else.
    """
    entries = store.entries()
    if not entries:
        store.check_bucket()
    if MANIFEST in entries:
        return parse_manifest(store.read(MANIFEST) or b"", f"{store.url}/{MANIFEST}")
    if entries.keys() - {HIDDEN} and not _journals(store):
        raise UserError(
            f"{store.url} is not empty and not an export of dsfactory: name a new or empty place with --out"
        )
    return None


def _journals(store: Store) -> list[str]:
    return sorted(filter(_JOURNAL.fullmatch, store.entries(HIDDEN)))


def _named(journal: bytes | None) -> list[str]:
    """The names in a journal, none that could mean another object."""
    names = json.loads(journal or b"[]")
    return [name for name in names if re.fullmatch(r"[A-Za-z0-9_./-]+", name)]
