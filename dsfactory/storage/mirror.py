"""A local folder that stands for a run or an export in a bucket while one command works on it.

What is small is fetched when the command begins; a shard's tar is only a placeholder of the right size until it is
read. A file that is finished is uploaded at once, before the work goes on, so a shard's tar is in the bucket before
its row table; a file that is deleted here is deleted there before the next upload. The folder is private to the
command and thrown away at its end: what counts is in the bucket.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Literal

from dsfactory.storage.atomic import temporary_path
from dsfactory.storage.lease import Lease
from dsfactory.storage.names import MANIFEST, SHARD_NAME
from dsfactory.storage.remote import register, shown, unregister
from dsfactory.storage.removals import Removals
from dsfactory.storage.store import Entry, Store

Content = Literal["run", "everything", "nothing"]
"""What a mirror begins with: a run without the files of its exports, all of a run or an export, or an empty folder."""

RESIDENT = 6
"""Tars that lie here in full at a time, beside those that are read in no order."""

MADE_WITHIN_S = 60.0
"""A mirror that is younger may belong to a process that has not locked it yet."""

EXPORTS = "export"
EXPORT_MANIFEST = "dsfactory.json"
LOG = "log.jsonl"
MAX_LOG = 4 * 2**20

_PREFIX = "dsfactory-remote-"
_TAR = re.compile(rf"{SHARD_NAME}\.tar")
_OLD_LOG = re.compile(r"log\.[0-9]+\.jsonl")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")


class StoreMirror:
    """See the module; made by :func:`open_mirror`, in worker processes by :func:`join_mirror`, and on other machines by
    :func:`open_part`.

    Args:
        store: the place in the bucket.
        root: the folder, absolute.
        content: what to begin with.
        order: folders of a run in the order in which they are listed. It may be written meanwhile: with the last stage
            first, a shard that is seen has the shards that it was made of.
    """

    def __init__(self, store: Store, root: Path, content: Content, order: Sequence[str] = ()) -> None:
        self.store, self.root, self._content, self._order = store, root, content, order
        self._known: dict[str, str] = {}
        self._files = Removals(root)
        self._resident: OrderedDict[Path, None] = OrderedDict()
        self._leases: list[Lease] = []
        self._log_start: int | None = None

    def pull(self) -> None:
        """Bring the folder to what the bucket holds now."""
        if self._content == "nothing":
            return
        found = self._listing()
        if self._log_start is not None:
            found.pop(LOG, None)  # this command writes to it
        for name in self._known.keys() - found.keys():
            (self.root / name).unlink(missing_ok=True)
        self._place({name: entry for name, entry in found.items() if self._known.get(name) != entry.version})
        self._known = {name: entry.version for name, entry in found.items() if name != LOG}
        self._files = Removals(self.root, self._known)
        if self._log_start is None:
            self._log_start = found[LOG].size if LOG in found else 0

    def bring(self, paths: Iterable[Path]) -> None:
        self._check_leases()
        for name, entry in self.fetch(path.relative_to(self.root).as_posix() for path in paths).items():
            self._known[name] = entry.version
            self._files.add(name)

    def fetch(self, names: Iterable[str]) -> dict[str, Entry]:
        """Have these objects as files; those that were there."""
        found = {name: entry for name in names if (entry := self.store.entry(name)) is not None}
        self._place(found)
        return found

    def publish(self, path: Path, content: Path) -> None:
        self._check_leases()
        self.delete_removed()
        name = path.relative_to(self.root).as_posix()
        self.store.upload([(content, name)])
        self._known[name] = "written here"
        self._files.add(name)
        if self._is_shard(name):
            self._make_resident(path)

    def delete_removed(self) -> None:
        """Delete from the bucket what was there and was deleted here: row tables, the done-marks, first."""
        removed = self._files.removed()
        self.store.delete(name for name in removed if name.endswith(".parquet"))
        self.store.delete(name for name in removed if not name.endswith(".parquet"))
        self._files.forget(removed)
        for name in removed:
            del self._known[name]

    def open(self, path: Path, keep: bool) -> BufferedReader:
        while True:
            file = open(path, "rb")  # noqa: SIM115
            # Looked at after opening, for another process may give the file up at any moment.
            if os.fstat(file.fileno()).st_mtime_ns != 0:
                if keep:
                    self._resident.pop(path, None)
                return file
            file.close()
            self._download([path.relative_to(self.root).as_posix()])
            self._make_resident(path)

    @contextlib.contextmanager
    def hold(self, path: Path) -> Iterator[None]:
        with Lease(self.store, path.relative_to(self.root).as_posix()) as lease:
            self.pull()  # another process may have worked since
            self._leases.append(lease)
            try:
                yield
                self.delete_removed()
            finally:
                self._leases.remove(lease)

    def upload_log(self) -> None:
        """Add what this command logged to the log in the bucket.

        Two commands that end at the same moment may lose one's lines, and a killed one loses its own: no result
        depends on them.
        """
        rotated = self.root / LOG.replace(".", ".1.")
        files = [path for path in (rotated, self.root / LOG) if path.is_file()]
        if self._log_start is None:  # nothing was begun
            return
        lines = b"".join(path.read_bytes() for path in files)[self._log_start :]
        if not lines:
            return
        text = shown(lines.decode("utf-8", "replace")).encode()
        before = self.store.read(LOG) or b""
        if len(before) + len(text) > MAX_LOG:
            self.store.write(rotated.name, before)
            before = b""
        self.store.write(LOG, before + text)

    def _listing(self) -> dict[str, Entry]:
        """The objects to begin with. Names that dsfactory does not give stay out: they could lead anywhere."""
        top = self.store.entries()
        if not top:
            self.store.check_bucket()
            return {}
        self.root.mkdir(exist_ok=True)
        whole = self._content == "everything" and (MANIFEST in top or EXPORT_MANIFEST in top)
        if MANIFEST not in top and not whole:
            for name in top:  # not ours: enough to say so
                if not name.startswith(".lock."):
                    (self.root / (name if _PLAIN.fullmatch(name) else "other")).mkdir(exist_ok=True)
            return {}
        found = {name: entry for name, entry in top.items() if entry is not None and not _OLD_LOG.fullmatch(name)}
        folders = [name for name, entry in top.items() if entry is None and (whole or name != EXPORTS)]
        for folder in sorted(folders, key=lambda name: self._order.index(name) if name in self._order else -1):
            found |= self.store.find(folder)
        if EXPORTS in top and not whole:
            for name in self.store.entries(EXPORTS):
                manifest = f"{EXPORTS}/{name}/{EXPORT_MANIFEST}"
                found |= {path: entry for path, entry in self.store.find(manifest).items() if path == manifest}
        return {name: entry for name, entry in found.items() if all(map(_PLAIN.fullmatch, name.split("/")))}

    def _check_leases(self) -> None:
        for lease in self._leases:
            lease.check()

    def _place(self, found: dict[str, Entry]) -> None:
        """Have these objects as files, shards' tars as placeholders."""
        for name in found:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        for name in filter(self._is_shard, found):
            self._place_hold(self.root / name, found[name].size)
        self._download(name for name in found if not self._is_shard(name))

    def _is_shard(self, name: str) -> bool:
        folder, _, file = name.rpartition("/")
        return _TAR.fullmatch(file) is not None and "/" not in folder

    def _download(self, names: Iterable[str]) -> None:
        targets = {name: temporary_path(self.root / name) for name in names}
        try:
            self.store.download(list(targets.items()))
            for name, temporary in targets.items():
                os.replace(temporary, self.root / name)
        finally:
            for temporary in targets.values():
                temporary.unlink(missing_ok=True)

    def _place_hold(self, path: Path, size: int) -> None:
        """A file without content in place of one that is in the bucket: of its size, and of the time 0."""
        temporary = temporary_path(path)
        with open(temporary, "xb") as file:
            file.truncate(size)
        os.utime(temporary, ns=(0, 0))
        os.replace(temporary, path)
        self._resident.pop(path, None)

    def _make_resident(self, path: Path) -> None:
        self._resident[path] = None
        self._resident.move_to_end(path)
        while len(self._resident) > RESIDENT:
            oldest, _ = self._resident.popitem(last=False)
            if oldest.exists():
                self._place_hold(oldest, oldest.stat().st_size)


@contextlib.contextmanager
def open_mirror(url: str, content: Content, order: Sequence[str] = ()) -> Iterator[Path]:
    """The folder that stands for a URL in the block.

    Args:
        url: of a run, an export, or what is to become one.
        content: what to begin with.
        order: see :class:`StoreMirror`.

    Raises:
        UserError: the store or its package cannot be used, or the bucket is not there.
    """
    with _standing_for(url, content, order) as mirror:
        try:
            mirror.pull()
            yield mirror.root
        finally:
            with contextlib.suppress(Exception):  # a log that cannot be written stops nothing
                mirror.upload_log()


@contextlib.contextmanager
def open_part(url: str, names: Iterable[str]) -> Iterator[Path]:
    """A folder that stands for a URL in the block, as on a machine that takes part in what another one's command does.

    Args:
        url: of a run that the other machine holds the lock of.
        names: of the files to begin with, relative to it; those that are not there are left out.

    Raises:
        UserError: the store or its package cannot be used.
    """
    with _standing_for(url, "nothing") as mirror:
        mirror.root.mkdir()
        mirror.fetch(names)
        yield mirror.root


@contextlib.contextmanager
def _standing_for(url: str, content: Content, order: Sequence[str] = ()) -> Iterator[StoreMirror]:
    store = Store(url)
    with _private_folder() as folder:
        mirror = StoreMirror(store, folder / url.rpartition("/")[2], content, order)
        register(mirror.root, mirror, url)
        try:
            yield mirror
        finally:
            unregister(mirror.root)


def join_mirror(url: str, root: Path) -> None:
    """Take part, in a process of its own, in a mirror that the parent opened and whose lock it holds."""
    register(root, StoreMirror(Store(url), root, "nothing"), url)


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A temporary folder (see ``TMPDIR``), removed at the end; also removes those of killed processes."""
    top = Path(tempfile.gettempdir()).resolve()
    for left in top.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is gone, or in use
            _remove_dead(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=top, ignore_cleanup_errors=True) as name:
        held = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(held)


def _remove_dead(folder: Path) -> None:
    """Remove a mirror whose process has ended: nobody holds the lock that dies with its holder."""
    found = folder.lstat()
    if found.st_uid != os.geteuid() or time.time() - found.st_mtime < MADE_WITHIN_S:
        return
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(held)
