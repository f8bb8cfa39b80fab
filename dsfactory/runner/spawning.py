"""Start a worker process, with one thread to compute with, deaf to Ctrl-C, and a pipe to its parent; and end it."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

STOP_S = 15.0
"""How long a worker that was told to stop may take before it is killed."""

_SPAWN = get_context("spawn")  # PyTorch and CUDA do not survive a fork


class Started(NamedTuple):
    """A process, and this end of its pipe."""

    process: SpawnProcess
    link: Connection


def start(target: Callable[[Any, Connection], None], task: Any, name: str) -> Started:
    """Start a process.

    Args:
        target: called in the process with the task and the other end of the pipe. SIGINT is blocked until it unblocks
            it.
        task: what it is to do.
        name: of the process.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(task, theirs), name=name, daemon=True)
    with one_thread(), _no_interrupts():
        process.start()
    theirs.close()
    return Started(process, ours)


def end(workers: Sequence[Started]) -> None:
    """End processes: all are told to stop, and those that do not are killed."""
    for process, _ in workers:
        process.terminate()
    deadline = time.monotonic() + STOP_S
    for process, link in workers:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
        link.close()


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes started in the block compute with one thread each, unless ``OMP_NUM_THREADS`` says otherwise."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """SIGINT does not reach processes started in the block: they inherit what this thread blocks.

    A terminal sends it to everyone, also to those that have not come so far as to ignore it.
    """
    resource_tracker.ensure_running()  # else the first process's start does so, and lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
