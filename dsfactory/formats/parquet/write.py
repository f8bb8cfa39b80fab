"""Hugging Face Parquet: images and masks within the table, for ``datasets`` and the hub's viewer."""

import contextlib
import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.description import dataset_card, describe_sample
from dsfactory.formats.huggingface.write import SPLIT_NAMES
from dsfactory.formats.writer import Copy, DatasetWriter, ExportPlan

ROWS_PER_GROUP = 16
"""Rows that are in memory at once, and the least that a reader has to load for one of them."""
ROWS_PER_FILE = 1024

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_INT, _TEXT = pa.int64(), pa.string()
_COLUMNS = {
    "image": _IMAGE, "mask": _IMAGE, "instances": _IMAGE, "key": _TEXT, "prompt": _TEXT, "model": _TEXT,
    "image_seed": _INT, "width": _INT, "height": _INT, "classes": pa.list_(_TEXT),
    "objects": pa.struct([
        ("id", pa.list_(_INT)), ("category", pa.list_(_INT)), ("bbox", pa.list_(pa.list_(_INT))),
        ("area", pa.list_(_INT)),
    ]),
}  # fmt: skip

_PROVENANCE = {
    "synthetic": pa.bool_(), "digital_source_type": _TEXT, "parents": pa.list_(_TEXT), "revision": _TEXT,
    "adapters": pa.list_(_TEXT), "steps": _INT, "guidance": pa.float64(), "trust": pa.float64(),
    "corrected": pa.bool_(),
}  # fmt: skip


class ParquetWriter(DatasetWriter):
    """Writes ``data/{train,validation}-NNNNN.parquet``, which ``datasets.load_dataset(folder)`` opens.

    The schema carries the Hugging Face features, so that ``image``, ``mask`` and ``instances`` are images, and
    ``objects.category`` has names. Other readers (pandas, DuckDB) find the files' bytes in ``image.bytes``. Masks are
    palette PNGs whose values are ids: 0 background, 255 void.
    """

    says_files: ClassVar[bool] = True
    has_card: ClassVar[bool] = True
    copies: ClassVar[tuple[Copy, ...]] = ("copy",)
    folders: ClassVar[tuple[str, ...]] = ("data",)

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        features = json.dumps({"info": {"features": _features(plan)}})
        self._schema = pa.schema(_columns(plan), metadata={"huggingface": features})
        self._files: dict[Split, _RowFiles] = {}
        if plan.provenance is None:
            self.write("README.md", dataset_card(plan).encode())

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        if split not in self._files:
            self._files[split] = _RowFiles(self, f"data/{SPLIT_NAMES[split]}", self._schema)
            self._streams.push(self._files[split].discard)
        row = describe_sample(sample, labels, self.plan)
        row["image"] = {"bytes": self.image(sample), "path": self.image_name(sample)}
        row["mask"] = {"bytes": sample.mask_png, "path": f"{sample.name}.png"}
        row["instances"] = {"bytes": sample.instances_png, "path": f"{sample.name}.png"}
        self._files[split].add(row)

    def finish(self) -> None:
        for files in self._files.values():
            files.finish()


class _RowFiles:
    """The Parquet files of one split."""

    def __init__(self, dataset: DatasetWriter, stem: str, schema: pa.Schema) -> None:
        self._dataset = dataset
        self._stem = stem
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._count = 0
        self._name = ""
        self._open = contextlib.ExitStack()

    def add(self, row: dict[str, Any]) -> None:
        if self._count % ROWS_PER_FILE == 0:
            self.finish()
            self._name = f"{self._stem}-{self._count // ROWS_PER_FILE:05d}.parquet"
            file = self._open.enter_context(self._dataset.file(self._name))
            self._table = self._open.enter_context(pq.ParquetWriter(file, self._schema, compression="zstd"))
        self._rows.append(row)
        self._count += 1
        if len(self._rows) == ROWS_PER_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        self._table.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()

    def finish(self) -> None:
        if self._rows:
            self._write_group()
        self._open.close()
        if self._name:
            self._dataset.finished(self._name)

    def discard(self, *error: object) -> None:
        """Close what an error left open."""
        self._open.close()


def _columns(plan: ExportPlan) -> dict[str, pa.DataType]:
    own: dict[str, pa.DataType] = {} if plan.drawn else {"file": _TEXT}
    own |= {"origin": _TEXT} if plan.adopted else {}
    if plan.trusted:
        own["objects"] = pa.struct([*_COLUMNS["objects"], ("trust", pa.list_(pa.float64()))])
    return {**_COLUMNS, **own, **({"corrected": pa.bool_()} if plan.corrected else {}),
            **(_PROVENANCE if plan.provenance is not None else {})}  # fmt: skip


def _features(plan: ExportPlan) -> dict[str, Any]:
    """The columns as ``datasets.Features`` writes them down."""
    features = {name: _feature(kind) for name, kind in _columns(plan).items()}
    features["objects"]["category"] = [{"names": ["background", *plan.classes], "_type": "ClassLabel"}]
    return features


def _feature(kind: pa.DataType) -> Any:
    """A column's type; a list is one of its first element's kind."""
    if kind == _IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {part.name: _feature(part.type) for part in kind}
    return {"dtype": str(kind), "_type": "Value"}
