"""The scores of a whole run: a table that is kept, so that other rules need no other training."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsfactory.storage.atomic import atomic_file


@dataclass(frozen=True)
class Score:
    """What is known of a sample; lists without another word hold a value per class of the sample.

    Attributes:
        key, number: of the sample.
        classes: those that its label shows; what refine left out says nothing of the label.
        area: share of the image.
        labelled: share of the image that any class covers.
        fold: the part of the run that it was in while the others were learnt.
        iou, confident_iou, evidence, quality: see :class:`dsfactory.stages.filter.judge.Judgement`.
        similarity: see :class:`dsfactory.stages.filter.similarity.ClipJudge`; empty without a CLIP model.
        hash: perceptual hash of the image.
        domain: the conditions that it was asked for in; empty where the run has none.
        loss, pixels: per label of the run, background first; see :class:`dsfactory.stages.filter.judge.Judgement`.
        agree_flip, agree_segmenter: see :func:`dsfactory.dataset.witness.agreements`; empty where nobody was heard.
    """

    key: str
    number: int
    classes: list[str]
    area: list[float]
    labelled: float
    fold: int
    iou: list[float | None]
    confident_iou: list[float | None]
    evidence: list[float]
    quality: float
    similarity: list[float]
    hash: bytes
    loss: list[float]
    pixels: list[int]
    agree_flip: list[float | None] = field(default_factory=list)
    agree_segmenter: list[float | None] = field(default_factory=list)
    domain: str = ""


_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("number", pa.int64()),
        ("classes", pa.list_(pa.string())),
        ("area", pa.list_(pa.float64())),
        ("labelled", pa.float64()),
        ("fold", pa.int32()),
        ("iou", pa.list_(pa.float64())),
        ("confident_iou", pa.list_(pa.float64())),
        ("evidence", pa.list_(pa.float64())),
        ("quality", pa.float64()),
        ("similarity", pa.list_(pa.float64())),
        ("hash", pa.binary()),
        ("loss", pa.list_(pa.float64())),
        ("pixels", pa.list_(pa.int64())),
        ("agree_flip", pa.list_(pa.float64())),
        ("agree_segmenter", pa.list_(pa.float64())),
    ]
)
assert [*_SCHEMA.names, "domain"] == [one.name for one in fields(Score)]

WITNESSES = ("agree_flip", "agree_segmenter")
"""Columns that are left out where no witness was heard: then the table is what it was before there were any."""


def write_scores(path: Path, scores: list[Score]) -> None:
    """Write the table in one visible step; equal scores give equal bytes. Only runs with domains have that column."""
    schema = _SCHEMA.append(pa.field("domain", pa.string())) if any(score.domain for score in scores) else _SCHEMA
    table = pa.Table.from_pylist([asdict(score) for score in scores], schema=schema)
    table = table.drop_columns([name for name in WITNESSES if not any(getattr(score, name) for score in scores)])
    with atomic_file(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_scores(path: Path) -> list[Score]:
    """Read what :func:`write_scores` wrote."""
    with pq.ParquetFile(path) as file:
        return [Score(**row) for row in file.read().to_pylist()]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 32 hex digits; empty when there is none."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def digest(value: Any) -> str:
    """SHA-256 of JSON values, 32 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
