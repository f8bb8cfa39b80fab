"""One process per run, by a lock that dies with its holder."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from dsfactory.core.errors import RunLocked


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold ``path`` as a lock file for the block.

    The kernel drops the lock when the process ends in whatever way, so a lock is never stale. While it is
    held the file names the holder's pid and start; released, it is empty. It is not deleted, for another
    process may have it open already.

    Raises:
        RunLocked: another live process holds it.
    """
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = _holder(file.read())
            raise RunLocked(f"{path.parent} is in use by {holder}: wait for it, or stop it first") from error
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "started": datetime.now(UTC).isoformat(timespec="seconds")}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} (started {holder['started']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
