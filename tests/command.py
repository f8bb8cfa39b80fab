"""Run ``dsfactory`` as a process of its own, as a user would."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TINY = ["--classes", "dog,bird", "--num", "3", "--shard-size", "4", "--steps", "2", "--width", "64", "--height", "64"]
"""A run small enough for a test; later flags win over these."""

_DIARY = re.compile(r"\.lock|log(\.\d+)?\.jsonl")


def command(*arguments: str, cwd: Path, wait: bool = True, **environment: str) -> Any:
    """A finished process with its output, or a running one when ``wait`` is off."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "0", **environment}
    line = [sys.executable, "-m", "dsfactory", *arguments]
    if not wait:
        return subprocess.Popen(line, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.run(line, cwd=cwd, env=environ, capture_output=True, text=True, timeout=600)


def run_tiny(model: Path, name: str, *arguments: str, cwd: Path, wait: bool = True) -> Any:
    """``dsfactory NAME`` with a tiny model and settings to match."""
    given = {argument for argument in arguments if argument.startswith("--")}
    defaults = [word for flag, value in zip(TINY[::2], TINY[1::2], strict=True) if flag not in given
                for word in (flag, value)]  # fmt: skip
    return command(name, "--model", str(model), *defaults, *arguments, cwd=cwd, wait=wait)


def tree(folder: Path) -> dict[str, bytes]:
    """Relative path to bytes of every file below a folder.

    Without the lock and the log (``.lock``, ``log.jsonl``, ``log.1.jsonl`` …): they say who worked when, and are the
    only files in which equal runs may differ.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _DIARY.fullmatch(path.name)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
