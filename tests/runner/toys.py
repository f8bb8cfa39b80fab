"""Real stages of a few lines, in a module of their own: worker processes import them."""

import logging
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import UserError
from dsfactory.runner.progress import Silent
from dsfactory.runner.worker import Task, work


class Counting(Silent):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.through: dict[str | None, int] = {}
        self.notes: list[str] = []

    def begin(self, stage: str, total: int, done: int, unit: str = "samples") -> None:
        self.through[stage] = done

    def advance(self, stage: str | None = None, samples: int = 1) -> None:
        self.through[stage] += samples

    def note(self, line: str) -> None:
        self.notes.append(line)


@dataclass
class Numbers(Stage):
    """Every sample's number.

    Attributes:
        seconds: how long a sample takes.
        place: the device, which becomes part of no output.
        fatal: the process that makes this shard kills itself half-way ...
        deaths: ... until this file has so many bytes as ``lives``.
        mistake: raised while preparing.
        prepared: a byte is added to this file by each process that prepares it.
    """

    offset: int = 0
    seconds: float = 0.0
    place: str = "cpu"
    fatal: int = -1
    lives: int = 0
    deaths: Path | None = None
    mistake: str = ""
    prepared: Path | None = None

    name, version, upstream = "numbers", 1, None
    schema = pa.schema([("key", pa.string()), ("value", pa.int64())])

    def identity(self) -> dict[str, Any]:
        return {"offset": self.offset}

    @property
    def device(self) -> str:
        return self.place

    def on_device(self, device: str) -> "Numbers":
        return Numbers(self.offset, self.seconds, device)

    def prepare(self) -> None:
        if self.mistake == "bug":
            raise KeyError("a bug")
        if self.mistake:
            raise UserError(self.mistake)
        if self.prepared is not None:
            with self.prepared.open("ab") as file:
                file.write(b"x")

    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        for number in range(shard.start, shard.stop):
            time.sleep(self.seconds)
            row = {"key": sample_key(number), "value": number + self.offset}
            yield Record(sample_key(number), row, {"txt": str(number + self.offset).encode()})
            if shard.index == self.fatal and self.deaths is not None:
                with self.deaths.open("ab") as file:
                    died = file.tell()
                    file.write(b"x")
                if died < self.lives:
                    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Together(Numbers):
    """Numbers, none of which is made before two processes have prepared."""

    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        assert self.prepared is not None
        wait_for(lambda: self.prepared.stat().st_size == 2)
        yield from super().process(shard, upstream)


@dataclass
class Squares(Stage):
    """The square of every number; odd ones fail."""

    seconds: float = 0.0

    name, version, upstream = "squares", 1, "numbers"
    schema = pa.schema([*Numbers.schema, ("square", pa.int64()), ("status", pa.string()), ("reason", pa.string())])

    def identity(self) -> dict[str, Any]:
        return {}

    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        assert upstream is not None
        for record in upstream.records():
            time.sleep(self.seconds)
            number = int(record.files["txt"])
            odd = number % 2 == 1
            row = {"square": number**2, "status": "failed" if odd else "ok", "reason": "it is odd" if odd else ""}
            yield Record(record.key, record.row | row)


@dataclass
class LastWords(Squares):
    """Squares; the process that finishes shard 1 is killed before it can say so, if this file is not there yet."""

    died: Path = Path()

    def prepare(self) -> None:
        logging.getLogger("dsfactory.run_log").addFilter(self._die)  # hears of a shard between its commit and the news

    def _die(self, record: logging.LogRecord) -> bool:
        if record.getMessage() == "shard" and record.__dict__["facts"]["shard"] == 1 and not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return True


def work_cut_short(task: Task, link: Connection) -> None:
    """A worker, the first of which in a run is killed in the middle of a message."""
    died = task.run.parent / "died"
    if died.exists():
        work(task, link)
    else:
        died.touch()
        os.write(link.fileno(), struct.pack("!i", 100) + b"half of it")
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for(reached: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
