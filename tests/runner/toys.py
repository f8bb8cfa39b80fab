"""Real stages of a few lines, in a module of their own: worker processes import them."""

import logging
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.core.sample import Record
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.space import first_number
from dsfactory.core.stage import Kind, Output, Role, Stage
from dsfactory.errors import DamagedShard, UserError
from dsfactory.runner.executors import IN_PROCESS
from dsfactory.runner.limits import UNLIMITED
from dsfactory.runner.progress import Silent
from dsfactory.runner.worker import Start, serve

NUMBERS = pa.schema([("key", pa.string()), ("value", pa.int64())])


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
        fatal: the process that makes this shard, or this part, kills itself half-way ...
        deaths: ... until this file has as many bytes as ``lives``.
        mistake: raised while loading.
        loads: a byte is added to this file by each process that loads it.
    """

    offset: int = 0
    seconds: float = 0.0
    place: str = "cpu"
    fatal: int | str = -1
    lives: int = 0
    deaths: Path | None = None
    mistake: str = ""
    loads: Path | None = None

    name, version, kind, Config = "numbers", 1, Kind.SOURCE, Section
    writes = Output((Role.IMAGE,), NUMBERS, {"ok": frozenset({"txt"})})

    def __post_init__(self) -> None:
        self.loaded = 0
        self.processed: list[int] = []

    def identity(self) -> dict[str, Any]:
        return {"offset": self.offset}

    @property
    def device(self) -> str:
        return self.place

    def on_device(self, device: str) -> "Numbers":
        return replace(self, place=device)

    def load(self) -> None:
        self.loaded += 1
        if self.mistake == "bug":
            raise KeyError("a bug")
        if self.mistake:
            raise UserError(self.mistake)
        if self.loads is not None:
            add_byte(self.loads)

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        self.processed.append(shard.index)
        for number in range(shard.start, shard.stop):
            time.sleep(self.seconds)
            self.before(shard, number)
            key = f"{number:08d}"
            yield Record(key, {"key": key, "value": number + self.offset}, {"txt": str(number + self.offset).encode()})
            if shard.index == self.fatal:
                self._die()

    def before(self, shard: ShardSpec, number: int) -> None:
        """Called before each sample; tests put something else in its place."""

    def parts(self, run: Run) -> Sequence[str]:
        return [name for name in ("a", "b", "c") if not (run.stage_folder("numbers") / f"{name}.txt").exists()]

    def make_part(self, run: Run, part: str, report: Callable[[str, int, int], None]) -> None:
        for step in range(3):
            report(f"learning {part}", step, 3)
            if self.mistake == "damage":
                raise DamagedShard("00001.tar: is missing")
            time.sleep(self.seconds)
            if part == self.fatal and step == 1:
                self._die()
        report(f"learning {part}", 3, 3)
        (run.stage_folder("numbers") / f"{part}.txt").write_text(f"{part} {self.offset}")
        with (run.path / "who.txt").open("a") as file:
            file.write(f"{os.getpid()}\n")

    def _die(self) -> None:
        assert self.deaths is not None
        if add_byte(self.deaths) < self.lives:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Together(Numbers):
    """Numbers; no process makes one before two have loaded."""

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        assert self.loads is not None
        wait_for(lambda: size(self.loads) == 2)
        yield from super().process(shard, *inputs)


class Doubles(Numbers):
    """Samples in a space of their own."""

    name, kind, Config, own_space = "doubles", Kind.COMPOSER, Section, True

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        for record in super().process(shard):
            key = f"doubles-{record.row['value'] - first_number('doubles'):08d}"
            yield Record(key, record.row | {"key": key}, record.files)


@dataclass
class Squares(Stage):
    """The square of every number; odd ones fail."""

    seconds: float = 0.0

    name, version, kind, Config, reads = "squares", 1, Kind.LABELER, Section, (Role.IMAGE,)
    writes = Output(
        (Role.LABEL,),
        pa.schema([*NUMBERS, ("square", pa.int64()), ("status", pa.string()), ("reason", pa.string())]),
    )

    def identity(self) -> dict[str, Any]:
        return {}

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        (numbers,) = inputs
        for record in numbers.records():
            time.sleep(self.seconds)
            number = int(record.files["txt"])
            odd = number % 2 == 1
            row = {"square": number**2, "status": "failed" if odd else "ok", "reason": "it is odd" if odd else ""}
            yield Record(record.key, record.row | row)


@dataclass
class Deadly(Squares):
    """Squares; who makes one dies."""

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield from super().process(shard, *inputs)


@dataclass
class Sums(Stage):
    """The sum of a number and its square."""

    name, version, kind, Config, reads = "sums", 1, Kind.JUDGE, Section, (Role.IMAGE, Role.LABEL)
    writes = Output((Role.SCORE,), pa.schema([("key", pa.string()), ("sum", pa.int64())]))

    def identity(self) -> dict[str, Any]:
        return {}

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        for number, square in zip(*(reader.rows for reader in inputs), strict=True):
            yield Record(number["key"], {"key": number["key"], "sum": number["value"] + square["square"]})


@dataclass
class LastWords(Squares):
    """Squares; the process that finishes shard 1 is killed before it can say so, if this file is not there yet."""

    died: Path = Path()

    def load(self) -> None:
        logging.getLogger("dsfactory.run_log").addFilter(self._die)  # hears of a shard between its commit and the news

    def _die(self, record: logging.LogRecord) -> bool:
        if record.getMessage() == "shard" and record.__dict__["facts"]["shard"] == 1 and not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return True


def steps(*stages: Stage) -> list[Step]:
    """Stages as steps; each reads those before."""
    found: list[Step] = []
    for stage in stages:
        found.append(Step(stage, tuple(step.as_input() for step in found)))
    return found


def make(run: Run, *stages: Stage, engine=IN_PROCESS, progress=None, limits=UNLIMITED):
    """Make stages one after the other as an earlier command did; the summary of the last one."""
    for step in steps(*stages):
        (summary,) = engine.run(run, [step], progress or Silent(), limits)
    return summary


def add_byte(path: Path) -> int:
    """Make a file longer; how long it was."""
    with path.open("ab") as file:
        before = file.tell()
        file.write(b"x")
    return before


def size(path: Path | None) -> int:
    return path.stat().st_size if path is not None and path.exists() else 0


def serve_cut_short(start: Start, link: Connection) -> None:
    """A worker; the first one of a run is killed in the middle of a message."""
    assert start.task is not None
    died = start.task.run.path.parent / "died"
    if died.exists():
        serve(start, link)
    else:
        died.touch()
        os.write(link.fileno(), struct.pack("!i", 100) + b"half of it")
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for(reached: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
