"""Examine the spliced images of a run, and make broken ones again."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import VOID, Record
from dsfactory.core.shard import ShardSpec
from dsfactory.core.space import LAYOUT, STAGE, SpliceSpace
from dsfactory.dataset.label_faults import TOLERANCE, instance_faults, mask_faults
from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.job import run_config
from dsfactory.jobs.splicing import splice_stage
from dsfactory.runner.log import log_event
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import check_stage, run_stage
from dsfactory.runner.signals import check_stop
from dsfactory.stages.splice.stage import SpliceStage

_FILES = {"image.png", "mask.png", "instances.png"}


def verify_splices(run: Run, found: Findings, progress: Progress) -> None:
    """Read all finished splices of a run; what is wrong goes to ``found``."""
    try:
        space, state = SpliceSpace.of(run), run.stage_state(STAGE)
    except UserError as error:
        found.faults.append(Fault(f"{STAGE}/{LAYOUT}", str(error)))
        return
    if state is None:
        if space.finished(STAGE):
            found.faults.append(Fault(f"{STAGE}/stage.json", "is missing, though there are shards"))
        return
    if state.version != SpliceStage.version:
        found.notes.append(f"{STAGE} was made by version {state.version} of its algorithm and is not examined")
        return
    finished = space.finished(STAGE)
    progress.begin(STAGE, sum(map(len, finished)), 0)
    for spec in finished:
        found.faults += [Fault(place, text, STAGE, spec.index) for place, text in _shard_faults(space, state, spec)]
        found.checked[f"{STAGE} shards"] += 1
        progress.advance(samples=len(spec))
    missing = len(space.shards()) - len(finished)
    if missing:
        found.notes.append(f"{missing} shards of {STAGE} are not finished yet: 'dsfactory {STAGE}' goes on")


def repair_splices(run: Run, found: Findings, progress: Progress) -> list[str]:
    """Make the broken shards of splices again; return their names.

    Raises:
        UserError: the settings or the samples are not those of which they were made.
    """
    broken = {fault.shard for fault in found.faults if fault.stage == STAGE}
    if not broken:
        return []
    space = SpliceSpace.of(run)
    stage = splice_stage(run, run_config(run.path), space)
    check_stage(space, stage, "")
    specs = [spec for spec in space.shards() if spec.index in broken]
    for spec in specs:
        log_event("damaged", stage=STAGE, shard=spec.index, reason="made again by verify --repair")
        for extension in ("parquet", "tar"):
            (run.stage_folder(STAGE) / f"{spec.name}.{extension}").unlink(missing_ok=True)
    run_stage(space, stage, progress)
    return [f"{STAGE}/{spec.name}" for spec in specs]


def _shard_faults(space: SpliceSpace, state: StageState, spec: ShardSpec) -> Iterator[tuple[str, str]]:
    place = f"{STAGE}/{spec.name}"
    try:
        reader = space.reader(STAGE, spec)
        if reader.mark.fingerprint != state.fingerprint:
            yield f"{place}.parquet", "was made with other settings than its stage.json says"
        if any(list(row) != SpliceStage.schema.names for row in reader.rows):
            yield f"{place}.parquet", f"does not have the columns {', '.join(SpliceStage.schema.names)}"
            return
        for record in reader.records():
            check_stop()
            for text in _record_faults(space, record):
                yield f"{place}.tar, sample {record.key}", text
    except DamagedShard as error:
        where, _, text = str(error).removeprefix(f"{space.path}/").partition(": ")
        yield where, text


def _record_faults(space: SpliceSpace, record: Record) -> Iterator[str]:
    row = record.row
    ids = {item.name: number for number, item in enumerate(space.manifest.classes, start=1)}
    if set(record.files) != _FILES:
        yield f"has {', '.join(sorted(record.files)) or 'no files'} instead of {', '.join(sorted(_FILES))}"
        return
    try:
        class_ids = [ids[name] for name in row["classes"]]
        image = decode_rgb_png(record.files["image.png"])
        mask, instances = (decode_index_png(record.files[name]) for name in ("mask.png", "instances.png"))
    except (ValueError, KeyError) as error:
        yield str(error)
        return
    if image.shape != (row["height"], row["width"], 3):
        yield f"the image has the shape {image.shape}, its row says {row['width']} × {row['height']}"
    faults = [*mask_faults(mask, (row["width"], row["height"]), class_ids), *instance_faults(mask, instances)]
    try:
        yield from faults or _row_faults(row, mask, instances, class_ids)
    except (TypeError, ValueError) as error:
        yield f"its columns cannot be compared with its mask ({error})"


def _row_faults(row: dict[str, Any], mask: Any, instances: Any, class_ids: list[int]) -> Iterator[str]:
    area = [float(np.mean(mask == number)) for number in class_ids]
    close = len(row["area"]) == len(area) and np.allclose(row["area"], area, rtol=0, atol=TOLERANCE)
    if not close or not np.isclose(row["void"], np.mean(mask == VOID), rtol=0, atol=TOLERANCE):
        yield "the columns area and void do not fit the mask"
    if row["components"] != [len(np.unique(instances[mask == number])) for number in class_ids]:
        yield "the column components does not fit the instances"
    if len(set(row["sources"])) < len(row["sources"]):
        yield "shows a sample twice"
