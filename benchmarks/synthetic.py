"""Runs of any size whose samples repeat a few scenes: for what depends on how many samples there are."""

from pathlib import Path

import numpy as np

from dsfactory.core.run import CONFIG, Run
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardWriter
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.refine.stage import RefineStage
from dsfactory.storage.atomic import write_atomic
from scripts.rendered_run import LabelledScene, write_run

CLASSES = ("dog", "bird")
SCENES = 64


def scene(number: int, side: int) -> LabelledScene:
    """A noisy background with one to three discs of a class, each a few dozen pixels wide."""
    chance = np.random.default_rng(number)
    label = 1 + number % len(CLASSES)
    mask = np.zeros((side, side), np.uint8)
    image = chance.integers(0, 256, (side, side, 3)).astype(np.uint8) // 4 + 96
    rows, columns = np.mgrid[:side, :side]
    for _ in range(chance.integers(1, 4)):
        y, x = chance.integers(side // 8, side - side // 8, 2)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < chance.integers(side // 10, side // 4) ** 2
        mask[disc] = label
        image[disc] = chance.integers(0, 256, 3)
    return LabelledScene(image, mask, (CLASSES[label - 1],))


def write_large_run(path: Path, samples: int, side: int = 128, shard_size: int = 100) -> None:
    """Write a run with finished ``generate`` and ``refine`` stages of any size, in seconds per 10,000 samples.

    Args:
        path: a folder that is not there; a small run that it is made of is put beside it.
        samples: how many; the same pictures come again every :data:`SCENES` samples.
        side: of the pictures, in pixels.
        shard_size: samples per shard.
    """
    seed = path.with_name(f"{path.name}-scenes")
    write_run(seed, CLASSES, [scene(number, side) for number in range(SCENES)], SCENES)
    small = Run.open(seed)
    with Run.claim(path, small.manifest.classes, small.manifest.seed) as run:
        run.grow(samples, shard_size)
        write_atomic(path / CONFIG, (seed / CONFIG).read_bytes())
        for stage in (GenerateStage, RefineStage):
            state = small.stage_state(stage.folder)
            assert state is not None
            run.begin_stage(state)
            records = list(small.reader(stage.folder, small.shards()[0]).records())
            for spec in run.shards():
                with ShardWriter(
                    run.stage_folder(stage.folder), spec, stage.writes.schema, state.fingerprint
                ) as writer:
                    for number in range(spec.start, spec.stop):
                        record = records[number % SCENES]
                        row = {**record.row, "key": sample_key(number), "number": number, "seed": number}
                        writer.add(Record(sample_key(number), row, record.files))
                    writer.commit()
