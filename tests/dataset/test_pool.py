"""The pool of kept samples: who is in it, with which labels, and what tells it from another pool."""

import os
import shutil

import numpy as np
import pytest

from dsfactory.core.chain import offers, serving
from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import VOID, sample_key
from dsfactory.dataset.corrections import changing_corrections, digest
from dsfactory.dataset.pool import composed_record, open_pool, pool_fingerprint
from dsfactory.errors import DamagedShard, UserError
from dsfactory.stages import STAGES
from dsfactory.stages.splice.stage import SpliceStage
from tests.brought import Echo, bring, brought_run
from tests.stages.splice.runs import label, labelled_run, shapes

CLASSES = (ClassSpec(name="dog"), ClassSpec(name="bird"))


def inputs(path, kind=SpliceStage):
    run = Run.open(path)
    return serving(kind, offers(run, STAGES.begun(run, before=kind)))


def pool_of(path, **more):
    return open_pool(path, inputs(path), CLASSES, **more)


def mark_of(path):
    return pool_fingerprint(path, inputs(path))


def keys(*numbers):
    return [sample_key(number) for number in numbers]


def correct(path, number, seed, class_id=2, image=None):
    """Put a mended label in the place of a sample's; class 0 takes all labels away."""
    run, scene = Run.open(path), shapes(seed, class_id or 1)
    drawn = {record.key: record.files["image.png"] for spec in run.shards()
             for record in run.reader("generate", spec).records()}  # fmt: skip
    instances = np.where(scene.mask == VOID, VOID, scene.instances).astype(np.uint8)
    with changing_corrections(path) as writer:
        fix = {"image_sha256": digest(image or drawn[sample_key(number)]), "replaces_sha256": "", "source": "x",
               "format": "png"}  # fmt: skip
        files = (encode_index_png(scene.mask), encode_index_png(instances)) if class_id else None
        writer.add(sample_key(number), fix, files)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Eight samples in two shards, dogs and birds in turns; 1 and 6 were rejected. Not to be changed."""
    return labelled_run(tmp_path_factory.mktemp("runs") / "a", 4, rejected=(1, 6))


@pytest.fixture
def path(labelled, tmp_path):
    return shutil.copytree(labelled, tmp_path / "a")


def test_kept_samples_are_in_it_in_the_order_of_their_keys(labelled):
    pool = pool_of(labelled)
    assert [source.key for source in pool.samples] == keys(0, 2, 3, 4, 5, 7)
    assert [source.classes for source in pool.samples] == [(0,), (0,), (1,), (0,), (1,), (1,)]
    assert [found.tolist() for found in pool.by_class] == [[0, 1, 3], [2, 4, 5]]
    assert (len(pool), pool.model) == (6, "shapes")


def test_samples_are_read_in_any_order_as_they_are_in_their_shards(labelled):
    pool, run = pool_of(labelled), Run.open(labelled)
    read = {stage: {record.key: record.files for spec in run.shards() for record in run.reader(stage, spec).records()}
            for stage in ("generate", "refine")}  # fmt: skip
    for index in (5, 0, 3):
        key = pool.samples[index].key
        labels = read["refine"][key]
        expected = (read["generate"][key]["image.png"], labels["mask.png"], labels["instances.png"])
        assert pool.files(index) == expected


def test_a_pool_takes_what_it_is_told_to(labelled):
    taken = keys(1, 2, 7)
    assert [source.key for source in pool_of(labelled, taken=taken.__contains__).samples] == keys(2, 7)
    assert len(pool_of(labelled, taken=lambda key: False)) == 0


def test_labels_that_a_person_mended_win(path):
    correct(path, 0, seed=50)
    correct(path, 2, seed=50, class_id=0)
    correct(path, 3, seed=50, image=b"another image")
    correct(path, 6, seed=51)
    pool = pool_of(path)
    assert [source.key for source in pool.samples] == keys(0, 3, 4, 5, 6, 7)
    assert [source.classes for source in pool.samples] == [(1,), (1,), (0,), (1,), (1,), (1,)]
    assert np.array_equal(decode_index_png(pool.files(0)[1]), shapes(50, 2).mask)
    assert np.array_equal(decode_index_png(pool.files(1)[1]), shapes(3, 2).mask)
    assert np.array_equal(decode_index_png(pool.files(4)[1]), shapes(51, 2).mask)
    image = decode_rgb_png(pool.files(4)[0])
    assert np.array_equal(image, shapes(6, 1).image)  # a mended sample keeps its image


def test_labels_must_be_finished_and_of_the_images_that_there_are(path):
    (path / "refine/00001.parquet").unlink()
    with pytest.raises(UserError, match=r"1 of 2 shards have no labels yet: run .dsfactory refine"):
        pool_of(path)
    run = Run.open(path)
    state = run.stage_state("generate")
    run.begin_stage(state.model_copy(update={"fingerprint": "0" * 32}))
    with pytest.raises(UserError, match=r"what refine read was made again since: run 'dsfactory refine .* --redo'"):
        pool_of(path)


def test_the_fingerprint_follows_what_is_offered(path, labelled, tmp_path):
    before = mark_of(path)
    assert before == mark_of(labelled)  # wherever the run is
    correct(path, 0, seed=50)
    corrected = mark_of(path)
    other = mark_of(labelled_run(tmp_path / "b", 4, rejected=(1,)))
    run = Run.open(path)
    run.grow(12, 4)
    label(run)
    assert len({before, corrected, other, mark_of(path)}) == 4


def test_the_fingerprint_needs_no_more_than_the_done_marks(path):
    before = mark_of(path)
    for tar in path.glob("*/*.tar"):
        data = bytearray(tar.read_bytes())
        data[700] ^= 1
        tar.write_bytes(data)
    assert mark_of(path) == before


@pytest.mark.parametrize("stage", ["generate", "refine"])
def test_a_damaged_shard_is_named_when_one_of_its_samples_is_read(path, stage):
    tar = path / stage / "00001.tar"
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    tar.write_bytes(data)
    pool = pool_of(path)
    pool.files(0)
    with pytest.raises(DamagedShard, match=rf"{stage}/00001\.tar: its bytes changed"):
        pool.files(len(pool) - 1)
    os.truncate(path / stage / "00000.parquet", 10)
    with pytest.raises(DamagedShard, match=rf"{stage}/00000\.parquet"):
        mark_of(path)


def test_a_stage_that_makes_images_with_their_labels_serves_as_both(tmp_path, monkeypatch):
    bring(monkeypatch)
    path = brought_run(tmp_path / "a")
    served = inputs(path, Echo)
    pool = open_pool(path, served, CLASSES)
    assert [source.key for source in pool.samples] == keys(*range(6))
    assert [found.tolist() for found in pool.by_class] == [[*range(6)], []]
    image, mask, instances = pool.files(3)
    assert decode_rgb_png(image)[0, 0].tolist() == [30, 30, 30]
    assert mask == instances and decode_index_png(mask).sum() == 144
    assert pool_fingerprint(path, served) == pool_fingerprint(path, served) != ""


def test_a_composed_sample_is_described_by_its_mask():
    mask, instances = (np.zeros((4, 10), np.uint8) for _ in range(2))
    mask[:, :2], mask[:, 2:4], mask[0, 9] = 2, 1, VOID
    instances[:2, :2], instances[2:, :2], instances[:, 2:4], instances[0, 9] = 1, 2, 3, VOID
    image = np.full((4, 10, 3), 9, np.uint8)
    row = {"key": "echo-00000001", "number": 7, "sources": keys(1), "image_seed": 5, "model": "shapes"}
    record = composed_record(row, image, mask, instances, ["dog", "bird"])
    assert record.key == "echo-00000001"
    assert record.row == row | {
        "width": 10, "height": 4, "classes": ["dog", "bird"], "area": [0.2, 0.2], "components": [1, 2],
        "void": 0.025, "status": "ok", "reason": "",
    }  # fmt: skip
    files = (decode_rgb_png(record.files["image.png"]), *(decode_index_png(record.files[name])
             for name in ("mask.png", "instances.png")))  # fmt: skip
    assert all(np.array_equal(found, wanted) for found, wanted in zip(files, (image, mask, instances), strict=True))


def test_a_composed_sample_without_an_object_is_rejected():
    blank = np.zeros((4, 4), np.uint8)
    row = {"key": "echo-00000001"}
    record = composed_record(row, np.zeros((4, 4, 3), np.uint8), blank, blank, ["dog"])
    assert (record.row["status"], record.row["reason"], record.row["classes"]) == ("rejected", "no object is left", [])
