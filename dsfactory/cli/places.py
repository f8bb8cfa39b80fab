"""Paths of the command line that may lie in a bucket: they become the local folder that stands for it.

Each function is the callback of an option or argument. A local path passes through as it is.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from dsfactory.errors import UserError
from dsfactory.storage.remote import remote_url, shown

if TYPE_CHECKING:
    from dsfactory.storage.mirror import Content


def run_place(context: typer.Context, path: Path | None) -> Path | None:
    """A run; one that is not named is the one that the file of ``--config`` names."""
    config = context.params.get("config")
    if path is None and config is not None and not context.resilient_parsing:
        from dsfactory.jobs.settings import read_run_file

        out = read_run_file(config).out
        path = Path(out) if out is not None else None
    return _open(context, path, "run")


def whole_place(context: typer.Context, path: Path | None) -> Path | None:
    """A run or an export, all of it."""
    return _open(context, path, "everything")


def new_place(context: typer.Context, path: Path | None) -> Path | None:
    """Where an export goes to."""
    return _open(context, path, "nothing")


def on_disk(path: Path | None) -> Path | None:
    """What has to be on a disk.

    Raises:
        UserError: it is in a bucket.
    """
    url = remote_url(path) if path is not None else None
    if url is not None:
        raise UserError(f"{url}: only runs and exports can be in a bucket: name a path on a disk here")
    return path


def _open(context: typer.Context, path: Path | None, content: "Content") -> Path | None:
    """The path itself, or the mirror of a URL, which lasts until the command ends."""
    url = remote_url(path) if path is not None else None
    if url is None or context.resilient_parsing:
        return path
    from dsfactory.stages import STAGES
    from dsfactory.storage.mirror import open_mirror

    root: Path = context.with_resource(open_mirror(url, content, STAGES.folders[::-1]))
    if not isinstance(sys.stdout, _Shown):
        sys.stdout, sys.stderr = _Shown(sys.stdout), _Shown(sys.stderr)
    return root


class _Shown:
    """A text stream on which the user reads URLs, not the folders that stand for them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(shown(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
