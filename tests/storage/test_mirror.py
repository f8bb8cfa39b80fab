"""Runs in a bucket, on a real S3-speaking server: the bytes of a local run, and nothing half-made to be seen."""

import itertools
import json
import os
import time
from pathlib import Path

import pytest

from dsfactory.core.chain import check_step
from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.dataset.labels import finished_shards
from dsfactory.errors import DamagedShard, UserError
from dsfactory.runner.executors import IN_PROCESS, Local
from dsfactory.runner.limits import UNLIMITED
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import Silent
from dsfactory.storage import mirror as mirrors
from dsfactory.storage.mirror import open_mirror
from dsfactory.storage.remote import mirror_of, remote_url, shown
from tests.command import tree
from tests.runner.toys import Numbers, Squares, make, steps
from tests.s3_server import uploads

CLASSES = (ClassSpec(name="dog"),)


def work(path: Path, *stages, redo=False) -> None:
    with Run.claim(path, CLASSES, 0) as run:
        run.grow(22, 4)
        for step in steps(*stages):
            check_step(run, step, redo)
            if redo:
                run.discard(type(step.stage))
            IN_PROCESS.run(run, [step], Silent(), UNLIMITED)


@pytest.fixture
def url(s3):
    return f"s3://{s3.bucket()}/runs/a"


@pytest.fixture
def objects(s3, url):
    bucket = url.split("/")[2]

    def read():
        return {name: data for name, data in s3.objects(bucket, "runs/a").items() if not name.startswith("log.")}

    return read


def local_tree(tmp_path, *stages):
    work(tmp_path / "local", *stages)
    return tree(tmp_path / "local")


def test_a_run_in_a_bucket_has_the_bytes_of_a_local_one_and_leaves_nothing_on_the_disk(url, objects, tmp_path):
    with open_mirror(url, "run") as root:
        work(root, Numbers(), Squares())
        assert not root.is_relative_to(tmp_path)
    assert objects() == local_tree(tmp_path, Numbers(), Squares())
    assert not root.exists()
    assert mirror_of(root) is None
    assert shown(f"{root} is here") == f"{url} is here"


def test_workers_upload_what_they_make(url, objects, tmp_path):
    with open_mirror(url, "run") as root, Run.claim(root, CLASSES, 0) as run:
        run.grow(22, 4)
        make(run, Numbers(), engine=Local((None, None)))
    assert objects() == local_tree(tmp_path, Numbers())


def test_the_tar_goes_up_before_the_row_table_and_is_not_there_without_it(s3, url, objects, tmp_path):
    s3.fault = uploads("numbers/00002.parquet")
    with pytest.raises(UserError, match=r"s3://\S+ cannot be used"), open_mirror(url, "run") as root:
        work(root, Numbers())
    there = objects()
    assert "numbers/00002.tar" in there and "numbers/00002.parquet" not in there
    with open_mirror(url, "run") as root:
        assert [spec.index for spec in finished_shards(Run.open(root), "numbers")] == [0, 1]
    s3.calm()
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    assert objects() == local_tree(tmp_path, Numbers())


def test_an_upload_that_breaks_off_leaves_no_object(s3, url, objects, tmp_path):
    s3.fault = uploads("numbers/00001.tar", what="drop")
    with pytest.raises(UserError, match="give the same command again"), open_mirror(url, "run") as root:
        work(root, Numbers())
    assert "numbers/00000.parquet" in objects() and "numbers/00001.tar" not in objects()
    s3.calm()
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    assert objects() == local_tree(tmp_path, Numbers())


def test_tars_are_fetched_when_they_are_read_and_few_lie_here_at_a_time(s3, url, objects, tmp_path, monkeypatch):
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    fetched = []
    s3.fault = lambda method, path: fetched.append(path) if method == "GET" and path.endswith(".tar") else None
    monkeypatch.setattr(mirrors, "RESIDENT", 2)
    with open_mirror(url, "run") as root:
        assert not fetched
        sizes = {path.name: path.stat().st_size for path in root.glob("numbers/*.tar")}
        assert len(sizes) == 6 and all(sizes.values())
        work(root, Numbers(), Squares())
        assert len(fetched) == 6
        assert sum(path.stat().st_mtime_ns != 0 for path in root.glob("numbers/*.tar")) == 2
        assert {path.name: path.stat().st_size for path in root.glob("numbers/*.tar")} == sizes
    assert objects() == local_tree(tmp_path, Numbers(), Squares())


def test_tars_with_longer_numbers_are_not_fetched_either(s3, url):
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    s3.put(url.split("/")[2], "runs/a/numbers/100000.tar", bytes(10240))
    with open_mirror(url, "run") as root:
        found = (root / "numbers" / "100000.tar").stat()
        assert (found.st_size, found.st_mtime_ns) == (10240, 0)


def test_what_is_made_again_replaces_what_was_there(url, objects, tmp_path):
    with open_mirror(url, "run") as root:
        work(root, Numbers(), Squares())
    with open_mirror(url, "run") as root:
        with pytest.raises(UserError, match=f"{root}: numbers was made with other settings"):
            work(root, Numbers(offset=5))
        work(root, Numbers(offset=5), redo=True)
    now = objects()
    expected = local_tree(tmp_path, Numbers(offset=5))
    assert {name: data for name, data in now.items() if not name.startswith("squares/")} == expected


def test_deleted_shards_go_row_tables_first(s3, url, objects):
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    deletions = itertools.count()
    s3.fault = lambda method, path: (
        "error" if method == "POST" and next(deletions) > 1 else None
    )  # the old lock, the row table
    with open_mirror(url, "run") as root, pytest.raises(UserError), Run.claim(root, CLASSES, 0):
        (root / "numbers" / "00003.tar").unlink()
        (root / "numbers" / "00003.parquet").unlink()
    assert "numbers/00003.tar" in objects() and "numbers/00003.parquet" not in objects()


def test_an_upload_does_not_look_at_all_that_is_there(url, objects, tmp_path, monkeypatch):
    with open_mirror(url, "run") as root:
        work(root, Numbers(), Squares())
    looked, lexists = [], os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: looked.append(path) or lexists(path))
    with open_mirror(url, "run") as root:
        (root / "squares" / "00003.parquet").unlink()
        work(root, Numbers(), Squares())
    assert len([path for path in looked if Path(path).parent == root / "numbers"]) == 0
    assert objects() == local_tree(tmp_path, Numbers(), Squares())


def test_damage_in_the_bucket_is_named(s3, url):
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    bucket = url.split("/")[2]
    data = bytearray(s3.objects(bucket, "runs/a")["numbers/00001.tar"])
    data[700] ^= 1
    s3.put(bucket, "runs/a/numbers/00001.tar", bytes(data))
    s3.put(bucket, "runs/a/numbers/00002.tar", bytes(data[:-1]))
    with open_mirror(url, "run") as root:
        run = Run.open(root)
        with pytest.raises(DamagedShard, match="its bytes changed"):
            list(run.reader("numbers", ShardSpec(1, 4, 8)).records())
        with pytest.raises(DamagedShard, match="bytes instead of"):
            run.reader("numbers", ShardSpec(2, 8, 12))


def test_a_prefix_with_something_else_is_refused_and_stays_as_it_is(s3, url):
    bucket = url.split("/")[2]
    s3.put(bucket, "runs/a/thesis/chapter 1.txt", b"mine")
    with open_mirror(url, "run") as root, pytest.raises(UserError, match="not empty and not a dsfactory run"):
        work(root, Numbers())
    assert s3.objects(bucket, "runs/a") == {"thesis/chapter 1.txt": b"mine"}


def test_neighbours_and_an_empty_folder_that_a_console_made_do_not_matter(s3, url, objects, tmp_path):
    bucket = url.split("/")[2]
    for name in ("runs/a/", "runs/ab/run.json", "runs/a.txt"):
        s3.put(bucket, name, b"")
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    assert {name: data for name, data in objects().items() if name} == local_tree(tmp_path, Numbers())
    with open_mirror(url, "run") as root:
        assert len(Run.open(root).finished("numbers")) == 6
        assert not (root / ".json").exists()


def test_object_names_cannot_lead_out_of_the_folder(s3, url):
    with open_mirror(url, "run") as root:
        work(root, Numbers())
    bucket = url.split("/")[2]
    for name in ("numbers/../../../escaped", "/escaped", "numbers/.hidden", "a b"):
        s3.put(bucket, f"runs/a/{name}", b"x")
    with open_mirror(url, "run") as root:
        assert {path.name for path in root.parent.iterdir()} == {root.name}
        assert not list(root.rglob("*escaped*")) and not list(root.rglob(".hidden")) and not (root / "a b").exists()


def test_logs_of_several_commands_are_one(s3, url):
    s3.put(url.split("/")[2], "runs/a/log.1.jsonl", b"older\n")
    s3.put(url.split("/")[2], "runs/a/run.json", b'{"format": 1, "classes": [{"name": "dog"}], "seed": 0}')
    for _ in range(2):
        with open_mirror(url, "run") as root, Run.claim(root, CLASSES, 0), run_log(root, "numbers"):
            pass
    objects = s3.objects(url.split("/")[2], "runs/a")
    lines = objects["log.jsonl"].splitlines()
    assert objects["log.1.jsonl"] == b"older\n"
    assert [json.loads(line)["event"] for line in lines] == ["start", "end"] * 2


def test_a_bucket_that_is_not_there_is_one_line(s3):
    with (
        pytest.raises(UserError, match="there is no bucket nowhere-at-all"),
        open_mirror("s3://nowhere-at-all/a", "run"),
    ):
        pass


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("dsfactory.storage.store.find_spec", lambda name: None)
    with (
        pytest.raises(UserError, match=r"s3:// needs s3fs: pip install 'dsfactory\[s3\]'"),
        open_mirror("s3://b/a", "run"),
    ):
        pass


def test_a_mirror_that_a_killed_process_left_is_removed_and_none_that_is_in_use(s3, url, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, other = tmp_path / "dsfactory-remote-left", tmp_path / "dsfactory-remote-young"
    for folder in (left, other):
        (folder / "a").mkdir(parents=True)
    os.utime(left, (time.time() - 1000,) * 2)
    with open_mirror(url, "run") as root:
        os.utime(root.parent, (time.time() - 1000,) * 2)
        with open_mirror(url, "run"):
            assert root.parent.exists()
        assert not left.exists() and other.exists()


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/a", "s3://bucket/a"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("runs/a", None),
        ("/data/s3/a", None),
        ("a:b", None),
    ],
)
def test_which_paths_are_urls(path, url):
    assert remote_url(Path(path)) == url


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("s3://bucket", "names no place within a bucket: write s3://bucket/a"),
        ("s3://bucket/a/../b", "not a plain path"),
        ("s3://bucket/a?versionId=3", "not a plain path"),
        ("http://host/a", "no object store that dsfactory knows"),
        ("memory://x/a", "no object store that dsfactory knows"),
    ],
)
def test_urls_that_are_refused(path, says):
    with pytest.raises(UserError, match=says.replace("?", r"\?")):
        remote_url(Path(path))
