"""Run ``dsfactory`` as a user would: as a process of its own, or in this one where that makes no difference."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.forking import Nursery

TINY = ["--classes", "dog,bird", "--num", "3", "--shard-size", "4", "--steps", "2", "--width", "64", "--height", "64"]
"""A run small enough for a test; later flags win over these."""

STILL = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "0"}
"""What every command of the tests has in its environment unless it says otherwise."""

_DIARY = re.compile(r"\.lock|log(\.\d+)?\.jsonl")


def command(*arguments: str, cwd: Path, wait: bool = True, fresh: bool = False, **environment: str) -> Any:
    """A finished process with its output, or a running one when ``wait`` is off.

    Args:
        arguments: what follows ``dsfactory``.
        cwd: folder in which it runs.
        wait: whether to wait for its end.
        fresh: start an interpreter as a shell does, where what is loaded at its start matters. Others are forked
            from one that has loaded the libraries (on Linux), unless ``environment`` asks for another start.
        environment: variables for it.
    """
    environ = {**os.environ, **STILL, **environment}
    if not fresh and sys.platform == "linux" and nursery().starts_alike(environ):
        child: Any = nursery().start([*arguments], cwd, environ)
    else:
        line = [sys.executable, "-m", "dsfactory", *arguments]
        child = subprocess.Popen(line, cwd=cwd, env=environ, stdout=-1, stderr=-1, text=True)
    if not wait:
        return child
    try:
        out, err = child.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    return subprocess.CompletedProcess(arguments, child.returncode, out, err)


def called(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A finished command, run in this process, which has the heavy libraries at hand. A traceback fails the test."""
    from dsfactory.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*arguments])
        except SystemExit as end:
            return subprocess.CompletedProcess(arguments, int(end.code or 0), out.getvalue(), err.getvalue())
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    raise AssertionError("main returned")


@cache
def nursery() -> Nursery:
    """The tests' own, begun with the first command."""
    return Nursery({**os.environ, **STILL})


def run_tiny(model: Path, name: str, *arguments: str, cwd: Path, wait: bool = True) -> Any:
    """``dsfactory NAME`` with a tiny model and settings to match, as a process."""
    return command(*_tiny(model, name, *arguments), cwd=cwd, wait=wait)


def call_tiny(model: Path, name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same in this process."""
    return called(*_tiny(model, name, *arguments), cwd=cwd)


def _tiny(model: Path, name: str, *arguments: str) -> list[str]:
    given = {argument for argument in arguments if argument.startswith("--")}
    defaults = [word for flag, value in zip(TINY[::2], TINY[1::2], strict=True) if flag not in given
                for word in (flag, value)]  # fmt: skip
    return [name, "--model", str(model), *defaults, *arguments]


def tree(folder: Path) -> dict[str, bytes]:
    """Relative path to bytes of every file below a folder.

    Without the lock and the log (``.lock``, ``log.jsonl``, ``log.1.jsonl`` …): they say who worked when, and are the
    only files in which equal runs may differ.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _DIARY.fullmatch(path.name)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
