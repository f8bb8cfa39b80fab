"""The run's log: ``log.jsonl``, one JSON object per line, rotated to ``log.1.jsonl`` and on.

It is for whoever looks into a run after a night. No result depends on it (only ``--dry-run`` reads its times), and it
is the only file of a run that may differ between equal runs. It holds no environment variables, and a log that cannot
be written stops nothing.
"""

import importlib.metadata
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from dsfactory import __version__

LOG = "log.jsonl"
MAX_BYTES = 4 * 2**20
KEPT = 5
"""Rotated files that are kept beside the current one."""

_PACKAGES = ("torch", "diffusers", "transformers", "numpy", "pyarrow", "pillow", "opencv-python-headless")

_log = logging.getLogger("dsfactory.run_log")
_log.setLevel(logging.INFO)
_log.propagate = False


def log_event(event: str, **facts: Any) -> None:
    """Add a line to the log of the run in hand; without one, do nothing.

    Args:
        event: ``"start"``, ``"end"``, ``"shard"``, ``"failed"`` or ``"damaged"``.
        facts: JSON values.
    """
    _log.info(event, extra={"facts": facts})


@contextmanager
def run_log(folder: Path, command: str) -> Iterator[dict[str, Any]]:
    """Log to a run for the block, with a line at its start and its end.

    Args:
        folder: the run's directory, which exists.
        command: the job's name.

    Yields:
        A dict; what the block puts in goes into the line at the end.
    """
    handler = _Handler(folder / LOG)
    _log.addHandler(handler)
    start = time.monotonic()
    outcome: dict[str, Any] = {}
    try:
        log_event("start", command=command, arguments=sys.argv[1:], versions=versions())
        yield outcome
    except BaseException as error:
        outcome |= {"exit_code": getattr(error, "exit_code", 1), "error": str(error) or type(error).__name__}
        raise
    finally:
        log_event("end", command=command, seconds=round(time.monotonic() - start, 3), **outcome)
        _log.removeHandler(handler)
        with suppress(OSError):  # what a full disk did not take is lost
            handler.close()


@contextmanager
def forward_events(take: Callable[[str, dict[str, Any]], None]) -> Iterator[None]:
    """Hand what this process would log to ``take`` for the block: a worker's events go into its parent's log.

    Args:
        take: called with the arguments that :func:`log_event` was given.
    """
    handler = _Forwarder(take)
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)


class _Forwarder(logging.Handler):
    def __init__(self, take: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(record.getMessage(), record.__dict__["facts"])


def versions() -> dict[str, str]:
    """Of dsfactory, Python and the libraries that decide about the bytes of a run, by name."""
    packages = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"dsfactory": __version__, "python": platform.python_version(), **packages}


class _Handler(RotatingFileHandler):
    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", delay=True)
        self.namer = _rotated_name
        self.setFormatter(_JsonFormatter())

    def _open(self) -> TextIOWrapper:
        # A run made by someone else may hold a link or a pipe in the log's place: follow none, wait for none.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        return open(os.open(self.baseFilename, flags, 0o666), "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on: a full disk or a read-only folder is reported by the work itself."""


def _rotated_name(default: str) -> str:
    stem, _, number = default.rpartition(".")
    return f"{stem.removesuffix('.jsonl')}.{number}.jsonl"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "pid": record.process, "event": record.msg, **record.__dict__["facts"]}
        return json.dumps(line, ensure_ascii=False, default=str)
