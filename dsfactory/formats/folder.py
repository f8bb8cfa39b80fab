"""An export on a disk: a folder that appears in full or not at all, and replaces only what dsfactory wrote."""

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.formats.manifest import MANIFEST, check_replaceable, files_of, manifest_bytes, parse_manifest
from dsfactory.storage.atomic import fsync_folder, make_folder
from dsfactory.storage.lock import exclusive_lock

_LOCK = ".lock"


@dataclass(frozen=True)
class FolderTarget:
    """Where an export is to appear on a disk."""

    path: Path

    def manifest(self) -> dict[str, Any] | None:
        """That of the export that is there, or None where a new one may be made.

        Raises:
            UserError: there is something else.
        """
        there = next(path for path in (self.path, *self.path.parents) if path.exists())
        if not there.is_dir():
            raise UserError(f"{there} is a file: name a folder with --out")
        if there != self.path:
            return None
        try:
            data = (self.path / MANIFEST).read_bytes()
        except FileNotFoundError:
            if any(self.path.iterdir()):
                raise UserError(
                    f"{self.path} is not empty and not an export of dsfactory: name a new or empty folder with --out"
                ) from None
            return None
        return parse_manifest(data, str(self.path / MANIFEST))

    def check_replaceable(self, manifest: dict[str, Any]) -> None:
        """See :func:`~dsfactory.formats.manifest.check_replaceable`."""
        check_replaceable(manifest, files_of(self.path), str(self.path))

    @contextlib.contextmanager
    def writing(self) -> Iterator["FolderExport"]:
        """The export being written, in a hidden folder beside its place, held by a lock for the block.

        What a killed process left there is cleared first; the folder is removed at the end.

        Raises:
            RunLocked: another process is exporting to the place.
            UserError: the place or the hidden folder's name is taken by something that is not ours.
        """
        self.manifest()
        make_folder(self.path.parent)
        staging = self.path.with_name(f".{self.path.name}.tmp-dsfactory")
        if not staging.is_symlink():  # a link in a run made by someone else could lead to any folder of the user's
            staging.mkdir(exist_ok=True)
        ours = (staging / _LOCK).exists() or (staging / MANIFEST).exists()  # it has no lock just before its renaming
        if staging.is_symlink() or (any(staging.iterdir()) and not ours):
            raise UserError(f"{staging} is in the way and was not made by dsfactory: move it away")
        with exclusive_lock(staging / _LOCK):
            _clear(staging, _LOCK)
            for old in self.path.parent.glob(f".{glob.escape(self.path.name)}.old-*"):
                if (old / MANIFEST).is_file() and not old.is_symlink():
                    _remove(old, MANIFEST)
            try:
                yield FolderExport(self.path, staging)
            finally:
                if staging.exists():
                    _remove(staging, _LOCK)


@dataclass(frozen=True)
class FolderExport:
    """An export that is being written.

    Attributes:
        target: where it is to appear.
        staging: a folder beside it for the dataset's files.
    """

    target: Path
    staging: Path

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest and rename ``staging`` to ``target``; an export that is there makes way and is deleted.

        The caller has checked that it may be deleted. A kill between the two renames leaves no export at ``target``,
        never a mixed one; the same command makes it again and clears the rest.
        """
        files = files_of(self.staging)
        files["."] -= 1  # the lock
        with open(self.staging / MANIFEST, "xb") as file:
            file.write(manifest_bytes(manifest, files))
            file.flush()
            os.fsync(file.fileno())
        for folder in files:
            fsync_folder(self.staging / folder)
        (self.staging / _LOCK).unlink()
        fsync_folder(self.staging)
        old = None
        if (self.target / MANIFEST).exists():
            old = self.target.with_name(f".{self.target.name}.old-{secrets.token_hex(4)}")
            self.target.rename(old)
        self.staging.rename(self.target)
        fsync_folder(self.target.parent)
        if old is not None:
            _remove(old, MANIFEST)


def _clear(folder: Path, keep: str) -> None:
    for entry in folder.iterdir():
        if entry.name == keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _remove(folder: Path, mark: str) -> None:
    """Delete a folder, its mark last: whatever a kill leaves of it is still known as ours."""
    _clear(folder, mark)
    (folder / mark).unlink(missing_ok=True)
    folder.rmdir()
