"""One clear line when the disk is full or closed to us."""

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dsfactory.errors import UserError
from dsfactory.storage.remote import mirror_of

KEPT, NOTHING_KEPT = "finished shards are kept", "no shard of images was finished, nothing was kept"
"""What the user still has when a stage ends early."""

OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT}
_UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE}
_IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


@contextlib.contextmanager
def disk_errors(path: Path, kept: str) -> Iterator[None]:
    """Turn what the system says about a disk that cannot be written into a :class:`UserError`.

    Args:
        path: what is being written, for the message.
        kept: what the user still has, e.g. :data:`KEPT`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in OUT_OF_SPACE and mirror_of(path) is not None:
            raise UserError(
                f"no space left in {tempfile.gettempdir()}, where shards are made before they are uploaded: free some, "
                f"or set TMPDIR to a larger disk, and run the same command again, {kept}"
            ) from error
        if error.errno in OUT_OF_SPACE:
            raise UserError(
                f"no space left on the disk of {path}: free some and run the same command again, {kept}"
            ) from error
        if error.errno in _UNUSABLE | _IN_THE_WAY:
            raise UserError(f"{error.filename or path} cannot be used: {error.strerror}") from error
        raise
