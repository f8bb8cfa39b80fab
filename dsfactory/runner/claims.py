"""Which worker has which shard: locks that the kernel drops when their holder dies, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self


class Claims:
    """The shards of a stage, shared out among processes.

    Shard *n* is byte *n* of a file, and who works on the shard holds a POSIX lock on that byte. Nobody keeps a list:
    a claim ends with its holder, and the shard is free for another. The locks also hold between machines on a network
    file system that supports them. Use as a context manager, one per process: a process that closes the file drops
    all its claims.

    Args:
        path: the file, which is there and stays empty. Workers never make it: one that is slow to start would leave it
            behind when its parent is gone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    @contextmanager
    def take(self, index: int) -> Iterator[bool]:
        """Claim a shard for the block; False when another process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, index)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, index)
