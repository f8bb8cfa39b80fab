"""A folder that appears in full or not at all, and replaces only what dsfactory wrote."""

import contextlib
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dsfactory.errors import UserError
from dsfactory.storage.atomic import fsync_folder
from dsfactory.storage.lock import exclusive_lock

MANIFEST = "dsfactory.json"
"""The done-mark: what the export was made from, and how many files each folder got.
(Datumaro takes a folder with a ``*-export.json`` for one of VoTT, so it is not called that.)"""

_LOCK = ".lock"


class _Splits(BaseModel):
    train: int
    val: int


class _Counts(BaseModel):
    images: _Splits
    instances: _Splits


class _Settings(BaseModel):
    val_share: float
    image_format: str
    rle: bool


class _Manifest(BaseModel):
    """What a manifest holds at least."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    format: str
    fingerprint: str
    classes: list[str]
    settings: _Settings
    counts: _Counts
    files: dict[str, int]


@contextlib.contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """An empty hidden folder beside ``target``, held by a lock for the block and removed at its end.

    What a killed process left there is cleared first. :func:`publish` moves the folder to its place.

    Raises:
        RunLocked: another process is exporting to ``target``.
        UserError: ``target`` or the hidden folder's name is taken by something that is not ours.
    """
    read_manifest(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{target.name}.tmp-dsfactory")
    if not staging.is_symlink():  # a link in a run made by someone else could lead to any folder of the user's
        staging.mkdir(exist_ok=True)
    if staging.is_symlink() or (any(staging.iterdir()) and not (staging / _LOCK).exists()):
        raise UserError(f"{staging} is in the way and was not made by dsfactory: move it away")
    with exclusive_lock(staging / _LOCK):
        _clear(staging, _LOCK)
        for old in target.parent.glob(f".{glob.escape(target.name)}.old-*"):
            if (old / MANIFEST).is_file() and not old.is_symlink():
                _remove(old, MANIFEST)
        try:
            yield staging
        finally:
            if staging.exists():
                _remove(staging, _LOCK)


@dataclass(frozen=True)
class FolderTarget:
    """Where an export is to appear on a disk."""

    path: Path

    def manifest(self) -> dict[str, Any] | None:
        """See :func:`read_manifest`."""
        return read_manifest(self.path)

    def check_replaceable(self, manifest: dict[str, Any]) -> None:
        """See :func:`check_replaceable`."""
        check_replaceable(self.path, manifest)

    @contextlib.contextmanager
    def writing(self) -> Iterator["FolderExport"]:
        """The export being written; see :func:`staging_folder`."""
        with staging_folder(self.path) as staging:
            yield FolderExport(self.path, staging)


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
        """See :func:`publish`."""
        publish(self.staging, self.target, manifest)


def publish(staging: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest and rename ``staging`` to ``target``; an export that is there makes way and is deleted.

    The caller has checked with :func:`check_replaceable` that it may be deleted. A kill between the two renames leaves
    no export at ``target``, never a mixed one; the same command makes it again and clears the rest.
    """
    files = files_of(staging)
    files["."] = files.get(".", 0) - 1  # the lock
    with open(staging / MANIFEST, "xb") as file:
        file.write(manifest_bytes(manifest, files))
        file.flush()
        os.fsync(file.fileno())
    (staging / _LOCK).unlink()
    for folder in files:
        fsync_folder(staging / folder)
    old = None
    if (target / MANIFEST).exists():
        old = target.with_name(f".{target.name}.old-{secrets.token_hex(4)}")
        target.rename(old)
    staging.rename(target)
    fsync_folder(target.parent)
    if old is not None:
        _remove(old, MANIFEST)


def read_manifest(target: Path) -> dict[str, Any] | None:
    """The manifest of the export at ``target``, or None where a new one may be made.

    Raises:
        UserError: there is something else.
    """
    there = next(path for path in (target, *target.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{there} is a file: name a folder with --out")
    if there != target:
        return None
    try:
        data = (target / MANIFEST).read_bytes()
    except FileNotFoundError:
        if any(target.iterdir()):
            raise UserError(
                f"{target} is not empty and not an export of dsfactory: name a new or empty folder with --out"
            ) from None
        return None
    return parse_manifest(data, str(target / MANIFEST))


def manifest_bytes(manifest: dict[str, Any], files: dict[str, int]) -> bytes:
    """The manifest as a file; ``files`` are the dataset's by folder."""
    return json.dumps({**manifest, "files": files}, indent=1, ensure_ascii=False).encode() + b"\n"


def parse_manifest(data: bytes, place: str) -> dict[str, Any]:
    """What :func:`manifest_bytes` wrote.

    Raises:
        UserError: it is something else; names the place.
    """
    try:
        manifest: dict[str, Any] = json.loads(data)
        _Manifest.model_validate(manifest)
    except (ValueError, ValidationError, RecursionError) as error:
        raise UserError(f"{place} is damaged: name another folder with --out") from error
    return manifest


def check_replaceable(target: Path, manifest: dict[str, Any]) -> None:
    """Make sure that an export holds no file beyond those that dsfactory wrote.

    Raises:
        UserError: somebody put more files in.
    """
    expected = {".": 0, **manifest["files"]}
    expected["."] += 1  # the manifest
    for folder, count in files_of(target).items():
        if count > expected.get(folder, 0):
            raise UserError(
                f"{target / folder} holds files that dsfactory did not write: move them away, or name another --out"
            )


def files_of(top: Path, name: str = ".") -> dict[str, int]:
    """Files in each folder of a tree, by its path from the top; no list of them is ever in memory."""
    files, folders = 0, []
    with os.scandir(top / name) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                files += 1
    counts = {name: files}
    for folder in sorted(folders):
        counts |= files_of(top, folder if name == "." else f"{name}/{folder}")
    return counts


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
