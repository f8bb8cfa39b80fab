"""Whether a stage's finished shard is what its stage promises."""

import io
from collections.abc import Iterator
from typing import Any

from PIL import Image
from safetensors import SafetensorError

from dsfactory.core.findings import Fault
from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import Record
from dsfactory.core.shard import ShardSpec
from dsfactory.dataset.label_faults import instance_faults, mask_faults, score_faults, verdict_faults
from dsfactory.errors import DamagedShard
from dsfactory.runner.signals import check_stop
from dsfactory.stages.filter.stage import FilterStage
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import EVIDENCE, IMAGE, GenerateStage
from dsfactory.stages.prompts.stage import PromptsStage
from dsfactory.stages.refine.stage import RefineStage

Rows = list[dict[str, Any]]

STAGE_CLASSES = {kind.name: kind for kind in (PromptsStage, GenerateStage, RefineStage, FilterStage)}

_MASKS = {"mask.png", "instances.png"}

FILES: dict[str, dict[str, set[str]]] = {
    "prompts": {},
    "generate": {"ok": {IMAGE, EVIDENCE}},
    "refine": {"ok": _MASKS, "rejected": _MASKS},
    "filter": {"ok": _MASKS, "dropped": _MASKS, "rejected": _MASKS},
}
"""Per stage and status, the files of a sample; none for a status that is not named."""

_OVERRIDDEN = {"status", "reason"}
"""Columns that a stage may set anew."""


def check_shard(run: Run, state: StageState, spec: ShardSpec, before: Rows | None) -> tuple[list[Fault], Rows | None]:
    """Examine a shard that is there.

    Args:
        run: the run.
        state: what the shard's stage was made with.
        spec: the shard.
        before: rows of the same shard of the stage before; None when there are none to compare with.

    Returns:
        What is wrong, and the shard's rows; None when they cannot be read.
    """
    place = f"{state.stage}/{spec.name}"
    rows: Rows | None = None
    faults: list[Fault] = []

    def fault(where: str, text: str) -> None:
        faults.append(Fault(where, text, state.stage, spec.index))

    try:
        reader = run.reader(state.stage, spec)
        if reader.mark.fingerprint != state.fingerprint:
            fault(f"{place}.parquet", "was made with other settings than its stage.json says")
        rows = reader.rows
        for text in _row_faults(state.stage, rows, before):
            fault(f"{place}.parquet", text)
        if not faults:
            for record in reader.records():
                check_stop()
                for text in _record_faults(run, state.stage, record):
                    fault(f"{place}.tar, sample {record.key}", text)
    except DamagedShard as error:
        where, _, text = str(error).removeprefix(f"{run.path}/").partition(": ")
        fault(where, text)
    return faults, rows


def _row_faults(stage: str, rows: Rows, before: Rows | None) -> Iterator[str]:
    expected = STAGE_CLASSES[stage].schema.names
    if any(list(row) != expected for row in rows):
        yield f"has the columns {', '.join(rows[0])} instead of {', '.join(expected)}"
        return
    for row, old in zip(rows, before or (), strict=False):
        other = [name for name in old if name not in _OVERRIDDEN and old[name] != row[name]]
        if other:
            yield f"sample {row['key']} was made of something else: {', '.join(other)} differ in the stage before"


def _record_faults(run: Run, stage: str, record: Record) -> Iterator[str]:
    status = record.row.get("status", "ok")
    expected = FILES[stage].get(status, set())
    if set(record.files) != expected:
        wanted = ", ".join(sorted(expected)) or "no files"
        yield f"has {', '.join(sorted(record.files)) or 'no files'} instead of {wanted} (status {status})"
    elif expected:
        try:
            yield from _drawing_faults(record) if stage == "generate" else _label_faults(run, stage, record)
        except (ValueError, KeyError, TypeError, OSError, SafetensorError, Image.DecompressionBombError) as error:
            yield str(error) or type(error).__name__


def _drawing_faults(record: Record) -> Iterator[str]:
    row = record.row
    with Image.open(io.BytesIO(record.files[IMAGE]), formats=("PNG",)) as image:
        image.verify()
        if (image.size, image.mode) != ((row["width"], row["height"]), "RGB"):
            yield f"the image is {image.mode} of {image.size}, its row says RGB of {row['width'], row['height']}"
    evidence = Evidence.from_bytes(record.files[EVIDENCE])
    if not evidence.cross:
        yield "the evidence holds no cross-attention"
    for maps in (*evidence.cross.values(), *evidence.affinity.values()):
        if len(maps) != len(row["classes"]):
            yield f"the evidence is about {len(maps)} classes, the row about {len(row['classes'])}"


def _label_faults(run: Run, stage: str, record: Record) -> Iterator[str]:
    ids = {item.name: number for number, item in enumerate(run.manifest.classes, start=1)}
    class_ids = [ids[name] for name in record.row["classes"]]
    mask = decode_index_png(record.files["mask.png"])
    instances = decode_index_png(record.files["instances.png"])
    yield from mask_faults(mask, (record.row["width"], record.row["height"]), class_ids)
    inconsistent = list(instance_faults(mask, instances))
    if inconsistent or stage == "filter":
        yield from inconsistent or verdict_faults(record.row, mask)
    else:
        yield from score_faults(record.row, mask, instances, class_ids)
