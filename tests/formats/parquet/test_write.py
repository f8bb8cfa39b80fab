import json

import pyarrow.parquet as pq

from dsfactory.formats.parquet import write as parquet_module
from tests.formats.scenes import CLASSES, COUNT, sample, write


def test_parquet_files_and_groups_are_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "ROWS_PER_FILE", 5)
    monkeypatch.setattr(parquet_module, "ROWS_PER_GROUP", 2)
    write("parquet", tmp_path / "d", val_share=0.0)
    files = sorted((tmp_path / "d" / "data").iterdir())
    assert [path.name for path in files] == [f"train-{n:05d}.parquet" for n in range(3)]
    assert [pq.read_metadata(path).num_rows for path in files] == [5, 5, 2]
    assert [pq.read_metadata(path).num_row_groups for path in files] == [3, 3, 1]
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    assert [row["key"] for row in rows] == [sample(n).key for n in range(COUNT)]
    assert rows[3]["mask"] == {"bytes": sample(3).mask_png, "path": "00000003.png"}
    features = json.loads(pq.read_schema(files[0]).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["objects"]["category"][0]["names"] == ["background", *CLASSES]
