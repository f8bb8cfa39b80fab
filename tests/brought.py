"""Stages of somebody else: a source, a judge, and a composer with a sample space of its own; and a run of theirs."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsfactory.core.chain import Step, offers, serving
from dsfactory.core.config import RunSettings
from dsfactory.core.png import decode_rgb_png, encode_index_png, encode_rgb_png
from dsfactory.core.registry import Entry, Registry
from dsfactory.core.run import CONFIG, Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK, MASKS, Record, sample_key
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.space import Space, space_of
from dsfactory.core.stage import Kind, Output, Role, Stage
from dsfactory.runner.executors import IN_PROCESS
from dsfactory.runner.limits import UNLIMITED
from dsfactory.runner.progress import Silent
from dsfactory.stages import STAGES, RunConfig

SIDE = 32
_PLAIN = [("key", pa.string()), ("number", pa.int64())]
_SAMPLE = [("classes", pa.list_(pa.string())), ("width", pa.int32()), ("height", pa.int32()), ("status", pa.string())]


class _Toy(Stage):
    version, Config = 1, Section

    def __init__(self, settings: RunSettings, run: Path) -> None:
        self.settings, self.run = settings, run

    def identity(self) -> dict[str, Any]:
        return {"side": SIDE}

    def record(self, key: str, number: int, value: int, **columns: Any) -> Record:
        """A square of the first class on a ground of one colour."""
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[8:20, 8:20] = 1
        row = {"key": key, "number": number, "classes": [self.settings.classes[0].name], "width": SIDE, "height": SIDE}
        files = {
            IMAGE: encode_rgb_png(np.full((SIDE, SIDE, 3), value, np.uint8)),
            MASK: encode_index_png(mask),
            INSTANCES: encode_index_png(mask),
        }
        return Record(key, {**row, "status": "ok", **columns}, files)


class Squares(_Toy):
    """Images that come with their labels."""

    name, kind = "squares", Kind.SOURCE
    writes = Output((Role.IMAGE, Role.LABEL), pa.schema(_PLAIN + _SAMPLE), {"ok": MASKS | {IMAGE}})

    def wanted(self, run: Run | None) -> dict[str, int]:
        return {"": self.settings.num}

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        for number in range(shard.start, shard.stop):
            yield self.record(sample_key(number), number, 10 * number)


class Glow(_Toy):
    """How bright each image is; it writes no files."""

    name, kind, reads = "glow", Kind.JUDGE, (Role.IMAGE,)
    writes = Output((Role.SCORE,), pa.schema([*_PLAIN, *_SAMPLE, ("glow", pa.float32())]))

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        for record in inputs[0].records():
            yield Record(record.key, {**record.row, "glow": float(decode_rgb_png(record.files[IMAGE]).mean())})

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        if record.row["glow"] < 0:
            yield "it glows darkly"

    @classmethod
    def describe_rows(cls, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        return [("brightest", f"{max(row['glow'] for row in rows):.0f}")]


class Echo(_Toy):
    """A brighter copy of each sample, in a space of its own."""

    name, kind, own_space, reads = "echo", Kind.COMPOSER, True, (Role.IMAGE, Role.LABEL)
    writes = Output(
        (Role.IMAGE, Role.LABEL), pa.schema([*_PLAIN, *_SAMPLE, ("sources", pa.list_(pa.string()))]),
        {"ok": MASKS | {IMAGE}},
    )  # fmt: skip
    varying = ("sources",)

    def identity(self) -> dict[str, Any]:
        run = Run.open(self.run)
        folder = self.inputs[-1].kind.folder
        marks = [run.reader(folder, spec).mark.tar_sha256 for spec in run.finished(folder)]
        return {"sources": hashlib.sha256("".join(marks).encode()).hexdigest()}

    def wanted(self, run: Run | None) -> dict[str, int]:
        return {"loud": 3}

    def load(self) -> None:
        self.space = Space.of(Run.open(self.run), Echo)

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        for sample in self.space.samples(shard):
            yield self.record(sample.key, sample.number, 200 + sample.index, sources=[sample_key(sample.index)])


def bring(patch: pytest.MonkeyPatch) -> None:
    """Let the registry find the stages, as an installed package would."""
    brought = {kind.name: Entry(kind.name, f"{__name__}:{kind.__name__}") for kind in (Squares, Glow, Echo)}
    patch.setattr(STAGES, "entries", {**STAGES.entries, **brought})
    patch.setattr(STAGES, "folders", Registry.folders.func(STAGES))


def brought_run(path: Path) -> Path:
    """A finished run of six samples in three shards and three echoes in two, made by these stages alone."""
    config = RunConfig(classes=("dog", "bird"), num=6, shard_size=2)
    with Run.claim(path, config.classes, config.seed) as run:
        (path / CONFIG).write_text(config.saved().to_yaml())
        for kind in (Squares, Glow, Echo):
            stage = kind.build(config, path)
            step = Step(stage, serving(kind, offers(run, STAGES.begun(run, before=kind))))
            space = space_of(run, kind)
            if wanted := stage.wanted(space):
                space.extend(wanted, config.shard_size)
            space.begin_stage(step.state())
            IN_PROCESS.run(space, [step], Silent(), UNLIMITED)
    return path
