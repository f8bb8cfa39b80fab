"""A labelled set as Parquet files with images and masks in the table, as the export format ``parquet`` has them."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from dsfactory.core.png import decode_index_png
from dsfactory.errors import UserError
from dsfactory.formats.labelled import Item, LabelledSet, label_table, split_in
from dsfactory.formats.reading.labels import FixedLabels

_MADE = ("prompt", "model", "image_seed")


class ParquetSet(LabelledSet):
    """Columns ``image`` and ``mask``, perhaps ``instances``, each with the bytes of a file; names in the schema."""

    kind: ClassVar[str] = "parquet"

    def look(self) -> dict[str, Any]:
        root = self.root
        files = [root] if root.is_file() else [*sorted(root.glob("data/*.parquet")), *sorted(root.glob("*.parquet"))]
        schema = _opened(files[0]).schema_arrow
        if missing := {"image", "mask"} - {*schema.names}:
            raise UserError(f"{files[0]} has no column {min(missing)!r}: images and their masks are needed")
        return {"names": _names(schema), "files": [str(path) for path in files], "columns": schema.names}

    def items(self) -> Iterator[Item]:
        synthetic = {*_MADE} <= {*self.facts["columns"]} and "file" not in self.facts["columns"]
        for path in self.facts["files"]:
            file = _opened(Path(path))
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=["image.path"]).to_pylist()
                for row, found in enumerate(rows):
                    name = (found["image"] or {}).get("path") or f"{group}-{row}"
                    place = json.dumps([path, group, row])
                    mark = f"{Path(path).stat().st_size}"
                    name = f"{Path(path).stem}/{name}"
                    yield Item(name, split=split_in(Path(path).stem), place=place, mark=mark, synthetic=synthetic)

    @cached_property
    def _held(self) -> dict[tuple[str, int], list[dict[str, Any]]]:
        return {}

    def _row(self, item: Item) -> dict[str, Any]:
        """A row; those of its group stay in memory until another group is asked for."""
        path, group, row = json.loads(item.place)
        if (path, group) not in self._held:
            wanted = ("image", "mask", "instances", *_MADE)
            names = [name for name in wanted if name in self.facts["columns"]]
            self._held.clear()
            try:
                self._held[path, group] = _opened(Path(path)).read_row_group(group, columns=names).to_pylist()
            except (pa.ArrowException, UserError, OSError) as error:
                raise ValueError(f"{Path(path).name} cannot be read") from error
        rows = self._held[path, group]
        if row >= len(rows):
            raise ValueError(f"{Path(path).name} has changed since the run was begun")
        found: dict[str, Any] = rows[row]
        return found

    def picture(self, item: Item) -> bytes:
        return _bytes(self._row(item), "image")

    def labels(self, item: Item, shape: tuple[int, int], ids: Mapping[str, int]) -> FixedLabels:
        row = self._row(item)
        mask = decode_index_png(_bytes(row, "mask"))
        objects = decode_index_png(_bytes(row, "instances")) if row.get("instances") else None
        if objects is not None and objects.shape != mask.shape:
            raise ValueError("its mask has another size than its instances")
        names = [*ids] if self.names is None else list(self.names)
        return FixedLabels(item.name, label_table(names, ids)[mask], objects, True)

    def columns(self, item: Item) -> Mapping[str, Any]:
        return {name: self._row(item)[name] for name in _MADE} if item.synthetic else {}


def _bytes(row: Mapping[str, Any], name: str) -> bytes:
    data = (row.get(name) or {}).get("bytes")
    if not data:
        raise ValueError(f"its {name} is not in the table")
    return bytes(data)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a readable Parquet file: load it again, or leave it out") from error


def _names(schema: pa.Schema) -> list[str] | None:
    """Names of the ids from 1, as the Hugging Face features say them; None where they do not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = [str(name) for name in features["objects"]["category"][0]["names"]]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return names[1:] if names[:1] == ["background"] else names
