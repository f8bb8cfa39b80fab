"""Processes for ``scripts/crash_matrix.py``: each runs ``dsfactory`` commands one after the other until it is killed.

A process is forked from one that has loaded the heavy libraries, so that a kill costs seconds and not a minute, and
then calls the entry point of the console script. Commands that are finished are counted in the file ``finished``; the
next process begins behind them, as a user would who goes on where a night's work ended.
"""

import importlib
import json
import os
import pkgutil
import sys
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

import dsfactory
from dsfactory.cli.app import main
from dsfactory.errors import StopSignal

_OPTIONAL = {"dsfactory.__main__", "dsfactory.runner.ray", "dsfactory.report.fiftyone"}


def now(pid: int) -> str:
    """Name of the file that holds the command on which a process works."""
    return f"now.{pid}"


def load_libraries() -> None:
    """Import all that the commands import, computing nothing: a fork has no use for another process's threads."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    for module in pkgutil.walk_packages(dsfactory.__path__, "dsfactory."):
        if module.name not in _OPTIONAL:
            importlib.import_module(module.name)
    from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline  # noqa: F401 -- loaded when named
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401


def start(commands: list[list[str]], folder: Path, errors: Path) -> ForkProcess:
    """Begin a process that runs commands in a folder, its standard error in a file."""
    process = get_context("fork").Process(target=_work, args=(commands, folder, errors))
    process.start()
    return process


def _work(commands: list[list[str]], folder: Path, errors: Path) -> None:
    os.chdir(folder)
    for number, path, flags in ((1, os.devnull, os.O_WRONLY), (2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
        descriptor = os.open(path, flags, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["dsfactory"]
    sys.exit(_chain(commands))


def _chain(commands: list[list[str]]) -> int:
    """Run the commands that are not finished yet; the worst exit code, or that which ends the chain."""
    finished = Path("finished")
    worst, begun = json.loads(finished.read_text()) if finished.exists() else (0, 0)
    try:
        for place in range(begun, len(commands)):
            Path(now(os.getpid())).write_text(commands[place][0])
            try:
                main(commands[place])
            except SystemExit as end:
                code = int(end.code or 0)
            if code not in (0, 3):
                return code
            worst = max(worst, code)
            fresh = Path(f"finished.{os.getpid()}")
            fresh.write_text(json.dumps([worst, place + 1]))
            fresh.replace(finished)
    except StopSignal as error:  # between two commands
        print(f"dsfactory: stopped by {error}", file=sys.stderr)
        return error.exit_code
    return int(worst)
