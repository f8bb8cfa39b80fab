"""Make a run out of images whose masks are known, as if ``generate`` and ``refine`` had made them.

For measuring what comes after them: no model generates, so what is measured depends on none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import encode_index_png, encode_rgb_png
from dsfactory.core.run import CONFIG, Run, StageState
from dsfactory.core.sample import EVIDENCE, IMAGE, INSTANCES, MASK, VOID, Record, sample_key
from dsfactory.core.shard import ShardWriter
from dsfactory.core.stage import Stage, fingerprint
from dsfactory.jobs.settings import resolve_config
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.refine.clean import label_instances
from dsfactory.stages.refine.stage import RefineStage
from dsfactory.storage.atomic import write_atomic


@dataclass(frozen=True)
class LabelledScene:
    """An image with its labels.

    Attributes:
        image: uint8 RGB ``(height, width, 3)``.
        mask: uint8 ``(height, width)``: position in the run's class list + 1; 0 background, 255 ignored.
        classes: names of the classes that the image is to show, the first is the one it was made for.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    classes: tuple[str, ...]


def write_run(path: Path, classes: Sequence[str], scenes: Sequence[LabelledScene], shard_size: int = 32) -> None:
    """Write a run with finished ``generate`` and ``refine`` stages.

    The attention maps are empty: it cannot be refined again.

    Raises:
        UserError: ``path`` is in use by something else.
    """
    specs = tuple(ClassSpec(name=name) for name in classes)
    with Run.claim(path, specs, seed=0) as run:
        run.grow(len(scenes), shard_size)
        settings = {"classes": list(classes), "num": -(-len(scenes) // len(classes)), "shard_size": shard_size}
        write_atomic(path / CONFIG, resolve_config(None, None, settings).to_yaml().encode())
        drawn = begin_stage(run, GenerateStage, {"source": "rendered"}, "")
        refined = begin_stage(run, RefineStage, {"source": "rendered"}, drawn)
        for spec in run.shards():
            rows = [_row(number, scenes[number], specs) for number in range(spec.start, spec.stop)]
            with (
                ShardWriter(run.stage_folder("generate"), spec, GenerateStage.writes.schema, drawn) as images,
                ShardWriter(run.stage_folder("refine"), spec, RefineStage.writes.schema, refined) as masks,
            ):
                for row in rows:
                    scene = scenes[row["number"]]
                    files = {IMAGE: encode_rgb_png(scene.image), EVIDENCE: _blank_maps(len(scene.classes))}
                    images.add(Record(row["key"], row, files))
                    masks.add(_labelled(row, scene, [classes.index(name) + 1 for name in scene.classes]))
                images.commit()
                masks.commit()


def begin_stage(run: Run, stage: type[Stage], identity: dict[str, Any], upstream: str) -> str:
    """Note that a stage has begun, and return its fingerprint."""
    mark = fingerprint(stage.folder, stage.version, identity, upstream)
    run.begin_stage(
        StageState(stage=stage.folder, version=stage.version, fingerprint=mark, upstream=upstream, identity=identity)
    )
    return mark


def _row(number: int, scene: LabelledScene, specs: Sequence[ClassSpec]) -> dict[str, Any]:
    height, width = scene.mask.shape
    known: dict[str, Any] = {
        "key": sample_key(number), "number": number, "class_name": scene.classes[0], "classes": list(scene.classes),
        "index": number // len(specs), "prompt": f"a {' and a '.join(scene.classes)}", "source": "rendered",
        "seed": number, "model": "rendered", "width": width, "height": height, "image_seed": number, "attempts": 1,
        "queried": ["caption"] * len(scene.classes), "status": "ok", "reason": "",
    }  # fmt: skip
    return known


def _blank_maps(classes: int) -> bytes:
    return Evidence({(1, 1): np.zeros((classes, 1, 1), np.float16)}).to_bytes()


def _labelled(row: dict[str, Any], scene: LabelledScene, ids: list[int]) -> Record:
    instances, counts = label_instances(scene.mask)
    scores = {
        "threshold": [0.5] * len(ids), "agreement": [1.0] * len(ids), "claim": [1.0] * len(ids),
        "peak": [1.0] * len(ids), "area": [float(np.mean(scene.mask == number)) for number in ids],
        "components": [counts.get(number, 0) for number in ids], "void": float(np.mean(scene.mask == VOID)),
    }  # fmt: skip
    status = {} if any(scores["area"]) else {"status": "rejected", "reason": f"no mask for {row['class_name']}"}
    extra = {name: None for name in RefineStage.writes.schema.names if name not in row | scores}
    files = {MASK: encode_index_png(scene.mask), INSTANCES: encode_index_png(instances)}
    return Record(row["key"], {**row, **extra, **scores, **status}, files)
