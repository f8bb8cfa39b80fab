"""Exports into a bucket, on a real S3-speaking server: the bytes of a local export, complete or not there."""

import json

import pytest

from dsfactory.errors import RunLocked, UserError
from dsfactory.formats import FORMATS
from dsfactory.formats import bucket as buckets
from dsfactory.formats.exporter import export
from dsfactory.storage.lease import Lease
from dsfactory.storage.mirror import open_mirror
from dsfactory.storage.store import Store
from tests.formats.scenes import CLASSES, samples
from tests.formats.test_exporter import contents, untouchable
from tests.s3_server import uploads


def into(url, format="coco", items=None, **options):
    settings = {"fingerprint": "f", "model": "pocket", **options}
    with open_mirror(url, "nothing") as out:
        return export(format, samples(6) if items is None else items, CLASSES, out, **settings)


def local(tmp_path, format="coco", **options):
    out = tmp_path / f"{format}-{len(list(tmp_path.iterdir()))}"
    export(format, samples(6), CLASSES, out, fingerprint="f", model="pocket", **options)
    return contents(out)


@pytest.fixture
def place(s3):
    """URL of a place for an export, and a function that reads it."""
    bucket = s3.bucket()
    return f"s3://{bucket}/data/d", lambda: s3.objects(bucket, "data/d")


@pytest.mark.long
@pytest.mark.parametrize("format", sorted(FORMATS))
def test_the_bytes_are_those_of_a_local_export(place, tmp_path, format, monkeypatch):
    monkeypatch.setattr(buckets, "BATCH_FILES", 3)
    url, objects = place
    first = into(url, format)
    assert objects() == local(tmp_path, format)
    again = into(url, format, untouchable())
    assert (first.made, again.made, again.images) == (True, False, first.images)


def test_no_more_than_a_batch_waits_on_the_disk(place, monkeypatch):
    monkeypatch.setattr(buckets, "BATCH_FILES", 2)
    url, objects = place
    seen = []

    def items():
        for item in samples(6):
            yield item
            seen.append(sum(name.startswith("images/") for name in objects()))

    into(url, items=items())
    assert seen == [0, 2, 2, 4, 4, 6]


@pytest.mark.parametrize("ending", ["images/train/00000002.png", "instances_train.json", "dsfactory.json"])
def test_a_failed_upload_leaves_no_export_and_the_next_one_is_complete(s3, place, tmp_path, ending):
    url, objects = place
    s3.fault = uploads(ending)
    with pytest.raises(UserError, match=r"s3://\S+ cannot be used"):
        into(url)
    assert "dsfactory.json" not in objects()
    s3.calm()
    into(url)
    assert objects() == local(tmp_path)


class Killed(BaseException):
    """Ends an export like a kill: nothing is cleared."""


def interrupted(url, count=4, **options):
    def items():
        yield from samples(count)
        raise Killed

    with pytest.raises(Killed):
        into(url, items=items(), **options)


def test_an_interrupted_export_is_cleared_by_one_with_other_files(s3, place, tmp_path, monkeypatch):
    monkeypatch.setattr(buckets, "BATCH_FILES", 2)
    url, objects = place
    interrupted(url)
    assert "dsfactory.json" not in objects() and "images/train/00000000.png" in objects()
    into(url, image_format="jpg")
    assert objects() == local(tmp_path, image_format="jpg")


def test_files_that_someone_put_beside_an_interrupted_export_stay(s3, place, monkeypatch):
    monkeypatch.setattr(buckets, "BATCH_FILES", 2)
    url, objects = place
    interrupted(url)
    s3.put(url.split("/")[2], "data/d/images/mine.png", b"mine")
    with pytest.raises(UserError, match="not empty and not an export"):
        into(url)
    assert objects() == {"images/mine.png": b"mine"}


def test_redo_replaces_an_export_and_an_interrupted_redo_can_be_repeated(place, tmp_path, monkeypatch):
    monkeypatch.setattr(buckets, "BATCH_FILES", 2)
    url, objects = place
    into(url)
    with pytest.raises(UserError, match=r"image_format.*--redo"):
        into(url, image_format="jpg")
    interrupted(url, image_format="jpg", redo=True)
    assert "dsfactory.json" not in objects()
    into(url, image_format="jpg", redo=True)
    assert objects() == local(tmp_path, image_format="jpg")


def test_an_export_with_more_files_than_dsfactory_wrote_is_not_replaced(s3, place):
    url, objects = place
    into(url)
    s3.put(url.split("/")[2], "data/d/images/train/mine.png", b"mine")
    before = objects()
    with pytest.raises(UserError, match="holds files that dsfactory did not write"):
        into(url, redo=True, image_format="jpg")
    assert objects() == before


def test_what_is_not_ours_is_refused_and_nothing_is_written(s3, place):
    url, objects = place
    s3.put(url.split("/")[2], "data/d/thesis.txt", b"mine")
    with pytest.raises(UserError, match="not empty and not an export of dsfactory"):
        into(url)
    assert objects() == {"thesis.txt": b"mine"}


def test_one_process_at_a_time(place):
    url, _ = place
    with Lease(Store(url), ".dsfactory/lock"), pytest.raises(RunLocked):
        into(url)


def test_a_journal_can_name_no_other_object(s3, place):
    url, _ = place
    s3.put(url.split("/")[2], "data/d/.dsfactory/files-000000.json", json.dumps(["../../*", "keep[1]"]).encode())
    s3.put(url.split("/")[2], "data/other", b"mine")
    into(url)
    assert s3.objects(url.split("/")[2], "data")["other"] == b"mine"
