import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardReader, ShardSpec, ShardWriter, read_mark
from dsfactory.errors import DamagedShard
from dsfactory.storage.atomic import atomic_file, discard_unfinished, remove_leftovers

SCHEMA = pa.schema([("key", pa.string()), ("status", pa.string()), ("score", pa.list_(pa.float32()))])
SPEC = ShardSpec(3, 6, 9)


def record(number: int, *, empty: bool = False) -> Record:
    key = sample_key(number)
    files = {} if empty else {"image.png": bytes([number]) * 700, "mask.png": b"m" * number}
    return Record(key, {"key": key, "status": "failed" if empty else "ok", "score": [number / 10]}, files)


def write(folder: Path, records: list[Record], fingerprint: str = "f") -> None:
    with ShardWriter(folder, SPEC, SCHEMA, fingerprint) as writer:
        for item in records:
            writer.add(item)
        writer.commit()


RECORDS = [record(6), record(7, empty=True), record(8)]


def test_what_is_written_is_read_back(tmp_path):
    write(tmp_path, RECORDS)
    back = list(ShardReader(tmp_path, SPEC).records())
    assert [(item.key, item.files) for item in back] == [(item.key, item.files) for item in RECORDS]
    assert [item.row["status"] for item in back] == ["ok", "failed", "ok"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00003.parquet", "00003.tar"]


def test_equal_records_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, RECORDS)
        time.sleep(0.01)
    for file in ("00003.tar", "00003.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_webdataset_reads_the_tar(tmp_path):
    write(tmp_path, RECORDS)
    samples = list(webdataset.WebDataset(str(tmp_path / "00003.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [sample_key(6), sample_key(8)]
    assert samples[0]["image.png"] == RECORDS[0].files["image.png"]


def test_pandas_style_readers_see_the_row_table(tmp_path):
    write(tmp_path, RECORDS)
    assert pq.read_table(tmp_path / "00003.parquet").column("key").to_pylist() == [item.key for item in RECORDS]


def test_a_stage_without_files_writes_no_tar(tmp_path):
    write(tmp_path, [record(number, empty=True) for number in (6, 7, 8)])
    assert [path.name for path in tmp_path.iterdir()] == ["00003.parquet"]
    assert next(iter(ShardReader(tmp_path, SPEC).records())).files == {}


@pytest.mark.parametrize("error", [None, RuntimeError("boom"), KeyboardInterrupt()])
def test_an_uncommitted_shard_leaves_no_trace(tmp_path, error):
    try:
        with ShardWriter(tmp_path, SPEC, SCHEMA, "f") as writer:
            writer.add(record(6))
            if error:
                raise error
    except (RuntimeError, KeyboardInterrupt) as raised:
        assert raised is error
    assert list(tmp_path.iterdir()) == []


def test_a_signal_between_two_steps_of_with_leaves_nothing_behind(tmp_path):
    opened = atomic_file(tmp_path / "whole")
    opened.__enter__().write(b"half")  # a signal here reaches no handler of the with statement
    assert len(list(tmp_path.iterdir())) == 1
    discard_unfinished()
    assert list(tmp_path.iterdir()) == []


def test_mark_tells_what_made_the_shard(tmp_path):
    assert read_mark(tmp_path, SPEC) is None
    write(tmp_path, RECORDS, "abc")
    mark = read_mark(tmp_path, SPEC)
    assert mark is not None
    assert (mark.fingerprint, mark.start, mark.stop) == ("abc", 6, 9)
    assert mark.tar_bytes == (tmp_path / "00003.tar").stat().st_size


def test_a_tar_without_a_row_table_does_not_exist(tmp_path):
    write(tmp_path, RECORDS)
    (tmp_path / "00003.parquet").unlink()
    assert read_mark(tmp_path, SPEC) is None


@pytest.mark.parametrize("damage", ["truncate tar", "flip tar", "remove tar", "truncate table", "not a table"])
def test_damage_is_named(tmp_path, damage):
    write(tmp_path, RECORDS)
    tar, table = tmp_path / "00003.tar", tmp_path / "00003.parquet"
    if damage == "truncate tar":
        os.truncate(tar, 1000)
    elif damage == "flip tar":
        data = bytearray(tar.read_bytes())
        data[600] ^= 1
        tar.write_bytes(data)
    elif damage == "remove tar":
        tar.unlink()
    elif damage == "truncate table":
        os.truncate(table, table.stat().st_size // 2)
    else:
        table.write_bytes(b"hello")
    name = "tar" if "tar" in damage else "parquet"
    with pytest.raises(DamagedShard, match=rf"00003\.{name}"):
        list(ShardReader(tmp_path, SPEC).records())


def test_foreign_tables_are_not_taken_for_ours(tmp_path):
    pq.write_table(pa.table({"key": ["00000006"]}), tmp_path / "00003.parquet")
    with pytest.raises(DamagedShard):
        read_mark(tmp_path, SPEC)


def test_links_in_a_tar_are_refused(tmp_path):
    write(tmp_path, RECORDS)
    tar = tmp_path / "00003.tar"
    with tarfile.open(tar, "w") as file:
        link = tarfile.TarInfo(f"{sample_key(6)}.image.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    mark = read_mark_with_current_tar(tmp_path)
    with pytest.raises(DamagedShard, match="not a plain file"):
        list(mark.records())


def read_mark_with_current_tar(folder: Path) -> ShardReader:
    """Re-seal the row table over whatever the tar now is, as an attacker could."""
    import hashlib

    data = (folder / "00003.tar").read_bytes()
    table = pq.read_table(folder / "00003.parquet")
    mark = json.loads(table.schema.metadata[b"dsfactory"])
    mark |= {"tar_sha256": hashlib.sha256(data).hexdigest(), "tar_bytes": len(data)}
    sealed = table.replace_schema_metadata({b"dsfactory": json.dumps(mark).encode()})
    pq.write_table(sealed, folder / "00003.parquet")
    return ShardReader(folder, SPEC)


def test_a_killed_writer_leaves_only_what_is_swept(tmp_path):
    code = f"""
import time
from pathlib import Path
from tests.core.test_shard import SCHEMA, SPEC, record
from dsfactory.core.shard import ShardWriter
with ShardWriter(Path({str(tmp_path)!r}), SPEC, SCHEMA, "f") as writer:
    writer.add(record(6))
    print("written", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)
    assert read_mark(tmp_path, SPEC) is None
    (tmp_path / "notes.tmp").write_text("the user's own")
    assert len(remove_leftovers(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.tmp"]
