"""A labelled run without a diffusion model: shapes of one colour per class, so that a pixel tells its true label."""

from pathlib import Path

import cv2
import numpy as np

from dsfactory.core.png import encode_index_png, encode_rgb_png
from dsfactory.core.run import CONFIG, Run, StageState
from dsfactory.core.sample import VOID, Record, sample_key
from dsfactory.core.shard import ShardWriter
from dsfactory.core.stage import fingerprint
from dsfactory.stages import RunConfig
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.refine.stage import RefineStage
from dsfactory.stages.splice.scene import Scene

EVIDENCE = Evidence({(16, 16): np.ones((1, 16, 16), np.float16)}).to_bytes()
COLOURS = {0: (40, 40, 40), 1: (230, 30, 30), 2: (30, 230, 30), 3: (30, 30, 230)}
"""Background and classes."""


def shapes(seed: int, class_id: int, side: int = 64, objects: int = 1, void: bool = True) -> Scene:
    """An image with discs of one class, each with a void ring."""
    rng = np.random.default_rng(seed)
    instances = np.zeros((side, side), np.uint8)
    ring = np.zeros((side, side), np.uint8)
    step = side // objects
    for number in range(objects):
        radius = int(rng.integers(step // 5, step // 3))
        centre = (step * number + step // 2, int(rng.integers(radius + 3, side - radius - 3)))
        cv2.circle(ring, centre, radius + 2, 1, cv2.FILLED)
        cv2.circle(instances, centre, radius, number + 1, cv2.FILLED)
    mask = np.where(instances > 0, class_id, 0).astype(np.uint8)
    if void:
        mask[(ring > 0) & (instances == 0)] = VOID
    image = np.zeros((side, side, 3), np.uint8)
    for value, colour in COLOURS.items():
        image[(mask == value) | ((mask == VOID) & (value == 0))] = colour
    return Scene(image, mask, instances.astype(np.uint16))


def labelled_run(
    path: Path, num: int, classes: tuple[str, ...] = ("dog", "bird"), side: int = 64, shard_size: int = 4,
    rejected: tuple[int, ...] = (), objects: int = 1,
) -> Path:  # fmt: skip
    """A run of ``num`` samples per class that is drawn and refined, with everything that a run has."""
    config = RunConfig(classes=classes, num=num, seed=7, shard_size=shard_size)
    with Run.claim(path, config.classes, config.seed) as run:
        run.grow(num * len(classes), shard_size)
        (path / CONFIG).write_text(config.saved().to_yaml())
        label(run, side, rejected, objects)
    return path


def label(run: Run, side: int = 64, rejected: tuple[int, ...] = (), objects: int = 1) -> None:
    """Write the shards of generate and refine that a run does not have."""
    mark = ""
    for kind in (GenerateStage, RefineStage):
        stage, upstream = kind.name, mark
        mark = fingerprint(kind.folder, kind.version, {}, upstream)
        run.begin_stage(StageState(stage=stage, version=kind.version, fingerprint=mark, upstream=upstream, identity={}))
        for spec in run.shards():
            if spec in run.finished(stage):
                continue
            with ShardWriter(run.stage_folder(stage), spec, kind.writes.schema, mark) as writer:
                for number in range(spec.start, spec.stop):
                    writer.add(_record(run, stage, number, side, number not in rejected, objects))
                writer.commit()


def _record(run: Run, stage: str, number: int, side: int, kept: bool, objects: int) -> Record:
    classes = [item.name for item in run.manifest.classes]
    class_id = number % len(classes) + 1
    scene = shapes(number, class_id, side, objects)
    key = sample_key(number)
    row = {
        "key": key, "number": number, "class_name": classes[class_id - 1], "classes": [classes[class_id - 1]],
        "index": number // len(classes), "prompt": "a photo", "source": "template", "seed": number, "model": "shapes",
        "width": side, "height": side, "image_seed": number, "attempts": 1, "queried": ["caption"], "status": "ok",
        "reason": "",
    }  # fmt: skip
    if stage == "generate":
        return Record(key, row, {"image.png": encode_rgb_png(scene.image), "evidence.safetensors": EVIDENCE})
    instances = np.where(scene.mask == VOID, VOID, scene.instances).astype(np.uint8)
    row |= {
        "threshold": [0.5], "agreement": [1.0], "claim": [1.0], "peak": [1.0],
        "area": [float(np.mean(scene.mask == class_id))],
        "components": [objects], "void": float(np.mean(scene.mask == VOID)), "status": "ok" if kept else "rejected",
        "reason": "" if kept else "no mask",
    }  # fmt: skip
    return Record(key, row, {"mask.png": encode_index_png(scene.mask), "instances.png": encode_index_png(instances)})
