"""A disk that dies, loses what was not flushed, or refuses, at one numbered step.

:class:`Disk` stands between a process and its folder: it numbers every step by which dsfactory changes that folder
(open, write, fsync, rename, unlink, mkdir, rmdir, lock), and at the one that is asked for the process ends or the call
fails. What a power cut may lose follows Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014, section 3):
the content of a file since its last fsync, and what changed in a folder (names that came, went or moved) since that
folder's last fsync, in any order.
"""

import builtins
import contextlib
import errno
import fcntl
import io
import itertools
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

KILLED = "killed"
LOST, DATA, ORDER = "all unflushed lost", "unflushed data lost", "oldest unflushed name lost"
WAYS = (KILLED, LOST, DATA, ORDER)
"""How a process can end: alone, or with the power and one state of the disk that is then possible."""

FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
"""How a call can fail. EINTR is not among them: Python itself repeats such calls (PEP 475)."""

DONE_MARKS = (".parquet", "dsfactory.json")
LOST_MARKS = "lost.json"

_NEEDS_NO_SPACE = {"unlink", "rmdir", "lock", "truncate"}


class Step(TypedDict):
    """A step that was made: its kind, and whether content or names were not flushed before it."""

    kind: str
    data: bool
    names: bool


@dataclass
class _Change:
    """What a folder holds differently since its last fsync, and how to take it back."""

    folder: str
    name: str
    undo: Callable[[], None]
    there: bool = True
    is_folder: bool = False

    def can_be_undone_alone(self) -> bool:
        """Whether nothing that came later rests on it."""
        if self.is_folder or not os.path.isdir(os.path.dirname(self.name)):
            return False
        return os.path.lexists(self.name) == self.there


class Disk:
    """See the module.

    Args:
        root: the folder whose changes count, absolute.
        spare: a folder on the same disk, for names that a power cut brings back.
        at: number of the step, from 1; 0 for none.
        how: an entry of WAYS or a name of FAULTS.
    """

    def __init__(self, root: Path, spare: Path, at: int = 0, how: str = KILLED) -> None:
        self.root, self.spare, self.at, self.how = str(root), spare, at, how
        self.steps: list[Step] = []
        self._dirty: dict[str, int] = {}
        self._finished: set[str] = set()
        self._changes: list[_Change] = []
        self._lock = threading.RLock()
        self._real = {name: getattr(os, name) for name in
                      ("open", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir")}  # fmt: skip
        self._open, self._flock = builtins.open, fcntl.flock

    def install(self) -> None:
        """Stand between this process and the disk from here on."""
        os.open, os.fsync, os.mkdir = self._os_open, self._fsync, self._mkdir  # type: ignore[assignment]
        os.replace = os.rename = self._rename  # type: ignore[assignment]
        os.unlink = os.remove = self._unlink
        os.rmdir = self._rmdir
        builtins.open = io.open = self._builtin_open
        fcntl.flock = self._locked

    def note(self, path: Path) -> None:
        """Write down the steps that were made."""
        with self._open(path, "w") as file:
            json.dump(self.steps, file)

    def step(self, kind: str, path: str, half: Callable[[], Any] | None = None) -> None:
        """The next step is about to be made.

        Args:
            half: what is done of it when the process ends in its middle.

        Raises:
            OSError: it is to fail.
        """
        self.steps.append({"kind": kind, "data": bool(self._dirty), "names": bool(self._changes)})
        if len(self.steps) != self.at:
            return
        if self.how in FAULTS:
            raise OSError(FAULTS[self.how], os.strerror(FAULTS[self.how]), path)
        if half is not None:
            half()
        if self.how != KILLED:
            self._lose()
        os.kill(os.getpid(), signal.SIGKILL)

    def _lose(self) -> None:
        """Leave the disk as a power cut may leave it."""
        if self.how in (LOST, DATA):
            for path, length in self._dirty.items():
                with contextlib.suppress(FileNotFoundError):
                    os.truncate(path, length)
        if self.how == LOST:
            for change in self._changes[::-1]:
                change.undo()
        if self.how == ORDER:
            alone = (change for change in [*self._changes] if change.can_be_undone_alone())
            for change in itertools.islice(alone, 1):
                change.undo()
        gone = sorted(name for name in self._finished if not os.path.exists(name))
        with self._open(self.spare / LOST_MARKS, "w") as file:
            json.dump([os.path.relpath(name, self.root) for name in gone], file)

    def _inside(self, path: Any, dir_fd: int | None = None) -> str | None:
        """The absolute path, if it is below the root and no diary."""
        if isinstance(path, int):
            full = os.readlink(f"/proc/self/fd/{path}")
        elif dir_fd is not None:
            full = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), os.fspath(path))
        else:
            full = os.path.abspath(os.fspath(path))
        return full if isinstance(full, str) and full.startswith(f"{self.root}/") else None

    def _keep(self, path: str) -> str:
        """A second name for a file, under which it outlives its first."""
        name = str(self.spare / f"{os.getpid()}-{len(os.listdir(self.spare))}")
        os.link(path, name, follow_symlinks=False)
        return name

    def _changed(self, path: str, undo: Callable[[], None], there: bool = True, is_folder: bool = False) -> None:
        self._changes.append(_Change(os.path.dirname(path), path, undo, there, is_folder))

    def _created(self, path: str) -> None:
        self._dirty.setdefault(path, 0)
        self._changed(path, lambda: self._gone(path))

    def _gone(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._real["unlink"](path)

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        inside = self._inside(path, dir_fd) if flags & os.O_CREAT else None
        with self._lock:
            fresh = inside is not None and not os.path.lexists(inside)
            if inside is not None and fresh:
                self.step("open", inside)
            descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            if inside is not None and fresh:
                self._created(inside)
            return descriptor

    def _builtin_open(self, file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None,
                      errors: str | None = None, newline: str | None = None, closefd: bool = True,
                      opener: Any = None) -> Any:  # fmt: skip
        inside = self._inside(file) if set(mode) & set("wax+") and opener is None else None
        if inside is None:
            return self._open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        with self._lock:
            fresh = not os.path.lexists(inside)
            if not isinstance(file, int):
                self.step("open", inside)
            raw = _Raw(self, file, mode.replace("b", "").replace("t", ""), closefd)
            if fresh:
                self._created(inside)
            elif "w" in mode:
                self._dirty[inside] = 0
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

    def wrote(self, path: str) -> None:
        """A file has content that is not flushed."""
        self._dirty.setdefault(path, os.path.getsize(path))

    def _fsync(self, descriptor: int) -> None:
        inside = self._inside(descriptor)
        with self._lock:
            if inside is None and os.readlink(f"/proc/self/fd/{descriptor}") != self.root:
                self._real["fsync"](descriptor)
                return
            path = inside or self.root
            self.step("fsync folder" if os.path.isdir(path) else "fsync", path)
            self._dirty.pop(path, None)
            durable = [change for change in self._changes if change.folder == path]
            self._finished |= {item.name for item in durable if item.there and item.name.endswith(DONE_MARKS)}
            self._changes = [change for change in self._changes if change.folder != path]

    def _rename(
        self, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        before, after = self._inside(source, src_dir_fd), self._inside(target, dst_dir_fd)
        if before is None or after is None:
            self._real["replace"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        with self._lock:
            self.step("rename", after)
            old = self._keep(after) if os.path.isfile(after) else None
            self._real["replace"](before, after)
            for path in [*self._dirty]:
                if path == before or path.startswith(f"{before}/"):
                    self._dirty[after + path[len(before) :]] = self._dirty.pop(path)
            self._finished = {path for path in self._finished if not path.startswith(f"{before}/")}
            for change in self._changes:  # what happened inside a folder goes with it
                if change.folder == before or change.folder.startswith(f"{before}/"):
                    change.folder = after + change.folder[len(before) :]

        def undo() -> None:
            if os.path.lexists(after):
                self._real["replace"](after, before)
            if old is not None:
                self._real["replace"](old, after)

        self._changed(after, undo, is_folder=os.path.isdir(after))

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        inside = self._inside(path, dir_fd)
        if inside is None or not os.path.lexists(inside):
            self._real["unlink"](path, dir_fd=dir_fd)
            return
        with self._lock:
            self.step("unlink", inside)
            kept = self._keep(inside)
            self._real["unlink"](inside)
            self._dirty.pop(inside, None)
            self._finished.discard(inside)
            self._changed(inside, lambda: None if os.path.lexists(inside) else os.link(kept, inside), there=False)

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        inside = self._inside(path, dir_fd)
        if inside is None or os.path.lexists(inside):
            self._real["mkdir"](path, mode, dir_fd=dir_fd)
            return
        with self._lock:
            self.step("mkdir", inside)
            self._real["mkdir"](inside, mode)
            self._changed(inside, lambda: shutil.rmtree(inside, ignore_errors=True), is_folder=True)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        inside = self._inside(path, dir_fd)
        if inside is None:
            self._real["rmdir"](path, dir_fd=dir_fd)
            return
        with self._lock:
            self.step("rmdir", inside)
            self._real["rmdir"](inside)
            self._changed(inside, lambda: os.makedirs(inside, exist_ok=True), there=False, is_folder=True)

    def _locked(self, file: Any, operation: int) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        inside = self._inside(descriptor)
        if inside is not None:
            self.step("lock", inside)
        self._flock(file, operation)


class _Raw(io.FileIO):
    """A file whose writes are steps."""

    def __init__(self, disk: Disk, file: Any, mode: str, closefd: bool) -> None:
        super().__init__(file, mode, closefd)
        self._disk = disk

    def write(self, content: Any) -> int:
        with self._disk._lock:
            path = os.readlink(f"/proc/self/fd/{self.fileno()}")  # it may have been renamed
            half = memoryview(content).cast("B")[: len(content) // 2]
            self._disk.wrote(path)
            self._disk.step("write", path, lambda: super(_Raw, self).write(half))
            return super().write(content) or 0

    def truncate(self, size: int | None = None) -> int:
        with self._disk._lock:
            self._disk.step("truncate", os.readlink(f"/proc/self/fd/{self.fileno()}"))
            return super().truncate(size)


def makes_sense(step: Step, how: str) -> bool:
    """Whether ending a step so differs from the other ways. A lock that cannot be taken is another test's."""
    if how in FAULTS:
        return step["kind"] != "lock" and not (how == "ENOSPC" and step["kind"] in _NEEDS_NO_SPACE)
    return {KILLED: True, LOST: step["data"] or step["names"], DATA: step["data"], ORDER: step["names"]}[how]
