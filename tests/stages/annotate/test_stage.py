"""The stage that looks at given pictures, shard by shard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.classes import ClassSpec
from dsfactory.core.shard import ShardSpec
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.annotate.pictures import Picture, write_pictures
from dsfactory.stages.annotate.stage import AnnotateStage
from dsfactory.stages.generate.config import GenerateConfig

CLASSES = (ClassSpec(name="dog"), ClassSpec(name="bird"), ClassSpec(name="cat"))
SHARDS = (ShardSpec(0, 0, 2), ShardSpec(1, 2, 3))


def stage(model: Path, folder: Path, **changes: Any) -> AnnotateStage:
    settings: dict[str, Any] = {"model": str(model), "device": "cpu", "width": 64, "height": 64}
    config = AnnotateConfig(images=str(folder), timesteps=(200,), seeds=1)
    return AnnotateStage(config, GenerateConfig(**(settings | changes)), CLASSES, 0, folder)


def test_prompts_of_earlier_shards_are_not_kept(tiny_model: Path, tmp_path: Path) -> None:
    shown = [("dog",), ("bird", "cat"), ("bird",)]
    for number in range(len(shown)):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    write_pictures(tmp_path, [Picture(name=f"{number}.png", classes=names) for number, names in enumerate(shown)])
    looking = stage(tiny_model, tmp_path)
    looking.load()
    assert looking._annotator is not None
    kept = []
    for shard in SHARDS:
        assert all(record.row["status"] == "ok" for record in looking.process(shard))
        kept.append(set(looking._annotator._texts._states))
    assert kept == [{"a photo of a dog", "a photo of a bird and a cat"}, {"a photo of a bird"}]


@pytest.mark.parametrize(("side", "named"), [(64, False), (256, False), (512, True)])
def test_only_runs_whose_finest_grid_was_left_out_are_told_from_older_ones(
    side: int, named: bool, tiny_model: Path, tmp_path: Path
) -> None:
    assert ("oblong_grids" in stage(tiny_model, tmp_path, width=side, height=side).identity()) == named
