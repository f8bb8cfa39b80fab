"""Whether a stage's finished shard is what its stage promises."""

from collections.abc import Iterator, Sequence
from typing import Any

from safetensors import SafetensorError

from dsfactory.core.findings import Fault
from dsfactory.core.lineage import Member
from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK, MASKS, Record
from dsfactory.core.shard import ShardSpec
from dsfactory.core.stage import Role, Stage
from dsfactory.dataset.label_faults import instance_faults, mask_faults
from dsfactory.errors import DamagedShard
from dsfactory.runner.signals import check_stop

Rows = list[dict[str, Any]]


def check_shard(space: Run, member: Member, spec: ShardSpec, inputs: Sequence[Rows]) -> tuple[list[Fault], Rows | None]:
    """Examine a shard that is there.

    Args:
        space: the run, or the stage's own space of it.
        member: the shard's stage.
        spec: the shard.
        inputs: rows of the same shard of the stages that it reads, as far as they can be read.

    Returns:
        What is wrong, and the shard's rows; None when they cannot be read.
    """
    place = f"{member.folder}/{spec.name}"
    rows: Rows | None = None
    faults: list[Fault] = []

    def fault(where: str, text: str) -> None:
        faults.append(Fault(where, text, member.folder, spec.index))

    try:
        reader = space.reader(member.folder, spec)
        if reader.mark.fingerprint != member.state.fingerprint:
            fault(f"{place}.parquet", "was made with other settings than its stage.json says")
        rows = reader.rows
        for text in _row_faults(member, rows, inputs):
            fault(f"{place}.parquet", text)
        if not faults:
            for record in reader.records():
                check_stop()
                for text in _record_faults(space, member.kind, record):
                    fault(f"{place}.tar, sample {record.key}", text)
    except DamagedShard as error:
        where, _, text = str(error).removeprefix(f"{space.path}/").partition(": ")
        fault(where, text)
    return faults, rows


def _row_faults(member: Member, rows: Rows, inputs: Sequence[Rows]) -> Iterator[str]:
    kind = member.kind
    added = kind.writes.added.union(*(one.kind.writes.added for one in member.serving))
    added = added - {*rows[0]} if rows else frozenset()
    expected = [name for name in kind.writes.schema.names if name not in added]
    if member.state.version < kind.version and rows:  # an older version may have had fewer columns
        expected = [name for name in expected if name in rows[0]]
    if any(list(row) != expected for row in rows):
        yield f"has the columns {', '.join(rows[0])} instead of {', '.join(expected)}"
        return
    for olds in inputs:
        for row, old in zip(rows, olds, strict=True):
            handed_on = (old.keys() & row.keys()) - kind.writes.own
            if other := [name for name in old if name in handed_on and old[name] != row[name]]:
                yield f"sample {row['key']} was made of something else: {', '.join(other)} differ in the stage before"


def _record_faults(space: Run, kind: type[Stage], record: Record) -> Iterator[str]:
    status = record.row.get("status", "ok")
    expected = kind.writes.files.get(status, frozenset())
    if set(record.files) - kind.writes.extra != expected:
        wanted = ", ".join(sorted(expected)) or "no files"
        yield f"has {', '.join(sorted(record.files)) or 'no files'} instead of {wanted} (status {status})"
    elif expected or not kind.writes.files:
        classes = [item.name for item in space.manifest.classes]
        try:
            faults = [*_image_faults(kind, record), *_label_faults(kind, record, classes)]
            yield from faults or kind.check_record(record, classes)
        except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
            yield str(error) or type(error).__name__


def _image_faults(kind: type[Stage], record: Record) -> Iterator[str]:
    if Role.IMAGE in kind.writes.roles and IMAGE in record.files:
        height, width, _ = decode_rgb_png(record.files[IMAGE]).shape
        wanted = record.row["width"], record.row["height"]
        if (width, height) != wanted:
            yield f"the image is of {width, height}, its row says {wanted}"


def _label_faults(kind: type[Stage], record: Record, classes: Sequence[str]) -> Iterator[str]:
    if Role.LABEL in kind.writes.roles and record.files.keys() >= MASKS:
        mask, instances = decode_index_png(record.files[MASK]), decode_index_png(record.files[INSTANCES])
        ids = [classes.index(name) + 1 for name in record.row["classes"]]
        yield from mask_faults(mask, (record.row["width"], record.row["height"]), ids)
        yield from instance_faults(mask, instances)
