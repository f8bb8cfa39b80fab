"""Safetensors files as they lie on disk: what is damaged, how many numbers they hold. Nothing is loaded."""

import json
import math
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError

_LONGEST_HEADER = 100_000_000


def read_header(file: Path) -> dict[str, Any]:
    """The table of a safetensors file: per tensor its ``dtype``, ``shape`` and ``data_offsets``.

    Raises:
        UserError: the file is damaged, or a stand-in for one; names it and says what to do.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if start == b"version " and size < 1024:
            raise UserError(f"{file} is a pointer of Git LFS, not the weights: run 'git lfs pull' in its folder")
        if length <= min(size - 8, _LONGEST_HEADER):
            try:
                header = json.loads(stream.read(length))
                tensors = {name: item for name, item in header.items() if name != "__metadata__"}
                end = max((item["data_offsets"][1] for item in tensors.values()), default=0)
            except (ValueError, AttributeError, LookupError, TypeError):
                end = None
            if end == size - 8 - length:
                return tensors
    # Deleting the link that a hub's cache has in the file's place would bring the same bytes back.
    raise UserError(f"{file} is damaged: delete {file.resolve()}, then run the command again")


def read_metadata(file: Path) -> dict[str, str]:
    """What the writer of a safetensors file says about it.

    Raises:
        UserError: the file is damaged.
    """
    read_header(file)
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    found = header.get("__metadata__")
    return found if isinstance(found, dict) else {}


def parameters(file: Path) -> int:
    """How many numbers a safetensors file holds."""
    return sum(math.prod(item["shape"]) for item in read_header(file).values())


def require_whole(path: Path, files: tuple[str, ...]) -> None:
    """Look at the files of a pipeline that libraries could not read.

    Args:
        path: the pipeline's folder.
        files: in it, relative.

    Raises:
        UserError: one of them is damaged; names it.
    """
    for name in files:
        file = path / name
        if name.endswith(".safetensors"):
            read_header(file)
        elif name.endswith(".json"):
            try:
                json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise UserError(f"{file} is damaged: delete {file.resolve()}, then run the command again") from error
