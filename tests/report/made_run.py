"""Runs of any size and state, written with the store's own parts: nothing is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsfactory.core.classes import ClassSpec
from dsfactory.core.numbering import Numbering
from dsfactory.core.png import encode_index_png, encode_rgb_png
from dsfactory.core.run import CONFIG, Run, StageState
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardWriter
from dsfactory.stages import RunConfig
from dsfactory.stages.filter.stage import FilterStage
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.prompts.stage import PromptsStage
from dsfactory.stages.refine.stage import RefineStage

STAGES = {stage.name: stage for stage in (PromptsStage, GenerateStage, RefineStage, FilterStage)}
SIDE = 32

HOSTILE = (
    '</script><script>document.title = "broken"</script>',
    "<img src=x onerror=\"document.title = 'broken'\"> & 'more'",
    "{{ 7 * 7 }} {% raw %} ${document.title}",
    "<!-- <script> --> \u2028 \u202e gnihtemos",
)
"""What captions, reasons and file names may hold."""


def made_run(
    path: Path, total: int = 12, shard_size: int = 4, classes: Sequence[str] = ("dog", "bird"), **finished: int
) -> Path:
    """Write a run.

    Args:
        path: a new folder.
        total: samples.
        finished: stage to the number of its shards that are done; all of prompts, generate and refine unless named.

    Of every 6 samples, number 2 is rejected, number 3 failed and, where ``filter`` is done, number 4 dropped; their
    reasons are :data:`HOSTILE`. Agreement falls with the number. Every sample has its class, and the third of six the
    next one too.
    """
    specs = tuple(ClassSpec(name=name) for name in classes)
    config = RunConfig(classes=specs, num=-(-total // len(specs)), shard_size=shard_size)
    with Run.claim(path, specs, 0) as run:
        run.grow(total, shard_size)
        (path / CONFIG).write_text(config.to_yaml(), encoding="utf-8")
        upstream = ""
        for name, stage in STAGES.items():
            done = finished.get(name, 0 if name == "filter" else len(run.shards()))
            if not done:
                break
            run.begin_stage(StageState(stage=name, version=1, fingerprint=f"of-{name}", upstream=upstream, identity={}))
            upstream = f"of-{name}"
            for spec in run.shards()[:done]:
                with ShardWriter(path / name, spec, stage.writes.schema, upstream) as writer:
                    for number in range(spec.start, spec.stop):
                        writer.add(_record(name, stage.writes.schema.names, number, classes, total))
                    writer.commit()
    return path


def _record(stage: str, columns: Sequence[str], number: int, classes: Sequence[str], total: int) -> Record:
    place, index = Numbering(tuple(classes), total).place(number)
    kind = number % 6
    names = [classes[place], *([classes[(place + 1) % len(classes)]] if kind == 2 and len(classes) > 1 else [])]
    several = len(names)
    row: dict[str, Any] = {
        "key": sample_key(number),
        "number": number,
        "class_name": classes[place],
        "classes": names,
        "index": index,
        "prompt": f"a {classes[place]} {HOSTILE[number % 4]}",
        "source": ("coco-val2017:17#2", "template", "subclass:beagle")[number % 3],
        "seed": 2**62 + number,
        "model": "pocket",
        "width": SIDE,
        "height": SIDE,
        "image_seed": 2**62 + number,
        "attempts": 1,
        "queried": ["caption"] * several,
        "status": "ok",
        "reason": "",
    }
    files: dict[str, bytes] = {}
    if stage == "generate" and kind != 3:
        files = {"image.png": encode_rgb_png(_image(number)), "evidence.safetensors": _evidence(several).to_bytes()}
    if stage in ("generate", "refine", "filter") and kind == 3:
        row |= {"status": "failed", "reason": HOSTILE[0]}
    elif stage in ("refine", "filter"):
        agreement = 1 - number / total
        row |= {"threshold": [0.44] * several, "agreement": [agreement] * several, "claim": [0.9] * several,
                "peak": [0.2] * several, "area": [0.25] * several, "components": [2] * several,
                "void": 0.1}  # fmt: skip
        files = _masks(place + 1)
        if kind == 2:
            row |= {"status": "rejected", "reason": HOSTILE[1]}
        if stage == "filter":
            row |= {"kept": kind != 2, "drop_reason": "", "iou": [0.5] * several, "evidence": [0.9] * several,
                    "similarity": [], "quality": 0.8, "rank": 0.5}  # fmt: skip
            if kind == 4:
                row |= {"status": "dropped", "kept": False, "drop_reason": "duplicate", "reason": HOSTILE[3],
                        "duplicate_of": sample_key(0)}  # fmt: skip
    return Record(row["key"], {name: row.get(name) for name in columns}, files)


def _image(number: int) -> Any:
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def _evidence(classes: int) -> Evidence:
    maps = np.zeros((classes, 8, 8), dtype=np.float16)
    maps[:, 2:6, 2:6] = 0.2
    return Evidence({(8, 8): maps})


def _masks(label: int) -> dict[str, bytes]:
    """Two objects of 8 by 16 pixels and a stripe of void."""
    mask, instances = np.zeros((2, SIDE, SIDE), dtype=np.uint8)
    mask[4:20, 4:12] = mask[4:20, 20:28] = label
    instances[4:20, 4:12], instances[4:20, 20:28] = 1, 2
    mask[28:], instances[28:] = 255, 255
    return {"mask.png": encode_index_png(mask), "instances.png": encode_index_png(instances)}
