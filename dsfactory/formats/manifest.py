"""``dsfactory.json``, the done-mark of an export: what it was made from, and how many files each folder got."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dsfactory.errors import UserError

MANIFEST = "dsfactory.json"
"""(Datumaro takes a folder with a ``*-export.json`` for one of VoTT, so it is not called that.)"""


class _Splits(BaseModel):
    model_config = ConfigDict(extra="forbid")

    train: int
    val: int
    test: int = 0


class _Counts(BaseModel):
    images: _Splits
    instances: _Splits


class _Settings(BaseModel):
    val_share: float
    image_format: str
    rle: bool
    min_trust: float = 0.0


class _Manifest(BaseModel):
    """What a manifest holds at least."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    format: str
    fingerprint: str
    classes: list[str]
    settings: _Settings
    counts: _Counts
    files: dict[str, int]


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


def check_replaceable(manifest: dict[str, Any], found: Mapping[str, int], place: str) -> None:
    """Make sure that an export holds no file beyond those that dsfactory wrote.

    Args:
        manifest: of the export.
        found: files that are there, by folder.
        place: where.

    Raises:
        UserError: somebody put more files in.
    """
    for folder, count in found.items():
        if count > manifest["files"].get(folder, 0) + (folder == "."):  # the manifest itself
            where = place if folder == "." else f"{place}/{folder}"
            raise UserError(f"{where} holds files that dsfactory did not write: move them away, or name another --out")


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
