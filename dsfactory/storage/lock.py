"""One process per run, by a lock that dies with its holder."""

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from dsfactory.errors import RunLocked, UserError
from dsfactory.storage.remote import mirror_of


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold ``path`` as a lock file for the block.

    The kernel drops the lock when the process ends in whatever way, so a lock is never stale. While it is
    held the file names the holder's pid and start; released, it is empty. It is not deleted, for another
    process may have it open already.

    Raises:
        RunLocked: another live process holds it.
        UserError: something that is no plain file has its name. A link is not followed: in a folder made by
            someone else it could point at any file of the user's.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_ours(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_ours(path)
    with open(descriptor, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = _holder(file.read())
            raise RunLocked(f"{path.parent} is in use by {holder}: wait for it, or stop it first") from error
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "started": datetime.now(UTC).isoformat(timespec="seconds")}))
        file.flush()
        mirror = mirror_of(path)
        try:
            with mirror.hold(path) if mirror is not None else contextlib.nullcontext():
                yield
        finally:
            file.truncate(0)


def _not_ours(path: Path) -> UserError:
    return UserError(f"{path} is not a plain file and was not made by dsfactory: remove it")


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} (started {holder['started']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another process"
