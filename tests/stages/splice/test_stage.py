import numpy as np
import pyarrow.parquet as pq
import pytest

from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import VOID, sample_key
from dsfactory.core.space import Space
from dsfactory.dataset.corrections import changing_corrections, digest
from dsfactory.dataset.label_faults import instance_faults, mask_faults
from dsfactory.dataset.split import split_of
from dsfactory.errors import DamagedShard, UserError
from dsfactory.runner.progress import Silent
from dsfactory.stages.splice.scene import resize
from dsfactory.stages.splice.stage import SpliceStage
from tests.command import tree
from tests.making import make
from tests.stages.splice.runs import label, labelled_run, shapes
from tests.stages.splice.test_mosaic import agrees

PLAIN = {"blur": 0, "occlusion": 0, "perspective": 0}


class Notes(Silent):
    def __init__(self):
        self.lines = []

    def note(self, line):
        self.lines.append(line)


def splice(path, progress=None, redo=False, **settings):
    return make("splice", path, {"splice": {"min_object": 0, **settings}}, progress=progress or Notes(), redo=redo)


def records(path):
    space = Space.of(Run.open(path), SpliceStage)
    return [record for spec in space.shards() for record in space.reader("splice", spec).records()]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of 40 samples with mosaics and paste compositions of all kinds."""
    path = labelled_run(tmp_path_factory.mktemp("runs") / "a", 20, objects=2)
    splice(path, num=30, paste=12, mix="1x2,2x1,2x2,3x3,5x5", blur=0.3, occlusion=0.3, perspective=0.3)
    return path


def test_rows_describe_the_files(made):
    found = records(made)
    assert [record.key for record in found] == [sample_key(1_000_000_000 + number) for number in range(42)]
    assert {record.row["kind"] for record in found} == {"1x2", "2x1", "2x2", "3x3", "5x5", "paste"}
    assert {name for record in found for name in record.row["augmentations"]} == {"blur", "occlusion", "perspective"}
    for record in found:
        row = record.row
        image = decode_rgb_png(record.files["image.png"])
        mask, instances = (decode_index_png(record.files[name]) for name in ("mask.png", "instances.png"))
        class_ids = [("dog", "bird").index(name) + 1 for name in row["classes"]]
        assert image.shape == (row["height"], row["width"], 3)
        assert not [*mask_faults(mask, (row["width"], row["height"]), class_ids), *instance_faults(mask, instances)]
        assert row["area"] == pytest.approx([(mask == number).mean() for number in class_ids])
        assert row["void"] == pytest.approx((mask == VOID).mean())
        assert sum(row["components"]) == len(set(instances.ravel().tolist()) - {0, VOID})


def test_labels_are_what_the_image_shows(made):
    for record in records(made):
        if "blur" not in record.row["augmentations"]:
            mask = decode_index_png(record.files["mask.png"])
            assert agrees(decode_rgb_png(record.files["image.png"]), mask, tolerance=100) > 0.95, record.row


def test_no_sample_is_in_a_splice_twice_and_none_of_val_in_any(made):
    for record in records(made):
        sources = record.row["sources"]
        assert len(set(sources)) == len(sources)
        assert all(split_of(key, 0.1) == "train" for key in sources)
        cells = {"1x2": 2, "2x1": 2, "2x2": 4, "3x3": 9, "5x5": 25}.get(record.row["kind"])
        if cells:
            assert len(sources) == cells + ("occlusion" in record.row["augmentations"])
    val = [sample_key(number) for number in range(40) if split_of(sample_key(number), 0.1) == "val"]
    assert val, "without a val sample the test says nothing"


def test_shard_size_and_growth_change_no_splice(tmp_path):
    def drawn(path):
        return sorted((record.row["kind"], record.row["image_seed"], record.files["image.png"])
                      for record in records(path))  # fmt: skip

    at_once = labelled_run(tmp_path / "a", 6)
    splice(at_once, num=10, paste=5, mix="2x2,1x2")
    bit_by_bit = labelled_run(tmp_path / "b", 6)
    config = bit_by_bit / "config.yaml"
    config.write_text(config.read_text().replace("shard_size: 4", "shard_size: 3"))
    for num, paste in ((4, 0), (4, 5), (10, 5), (3, 0)):
        before = tree(bit_by_bit / "splice")
        splice(bit_by_bit, num=num, paste=paste, mix="2x2,1x2")
        after = tree(bit_by_bit / "splice")
        changed = {name for name in before if after[name] != before[name]}
        assert changed <= {"shards.json"}
    assert drawn(at_once) == drawn(bit_by_bit)
    assert len(drawn(at_once)) == 15


def test_same_command_does_nothing(tmp_path):
    path = labelled_run(tmp_path / "a", 4)
    first = splice(path, num=5, mix="1x2")
    before = tree(path)
    again = splice(path, num=5, mix="1x2")
    assert (first.stages[0].made, again.stages[0].made) == (5, 0)
    assert tree(path) == before


def test_rejected_samples_are_left_out(tmp_path):
    path = labelled_run(tmp_path / "a", 6, rejected=(0, 1, 5, 7))
    splice(path, num=20, paste=10, mix="2x2", val_share=0)
    used = {key for record in records(path) for key in record.row["sources"]}
    assert used == {sample_key(number) for number in (2, 3, 4, 6, 8, 9, 10, 11)}


def test_grids_that_need_more_samples_are_left_out_and_said_once(tmp_path):
    path, notes = labelled_run(tmp_path / "a", 3), Notes()
    splice(path, notes, num=12, mix="1x2=1,2x2=1,3x3=5,8x8=1", val_share=0)
    assert notes.lines == [
        f"splice: {path} has 6 kept samples for the train split, too few for 3x3, 8x8: the other grids take their place"
    ]
    assert [record.row["kind"] for record in records(path)] == ["1x2", "2x2"] * 6


@pytest.mark.parametrize(
    ("settings", "kinds", "said"),
    [
        ({"mix": "1x2,3x3,5x5"}, {"1x2"}, "about 6 to 10 px large in 3x3, 5x5, less than 12: 1x2 made instead"),
        ({"mix": "1x2,3x3", "size": 128}, {"1x2", "3x3"}, ""),
        ({"mix": "5x5,3x3"}, {"3x3"}, "in 5x5, 3x3, less than 12: 3x3 made all the same, for there they are largest"),
    ],
)
def test_grids_whose_objects_would_be_tiny_are_left_out_and_said(tmp_path, settings, kinds, said):
    path, notes = labelled_run(tmp_path / "a", 20), Notes()
    splice(path, notes, num=8, min_object=12, **settings)
    assert {record.row["kind"] for record in records(path)} == kinds
    assert len(notes.lines) == bool(said) and said in "".join(notes.lines)


@pytest.mark.parametrize(
    ("num", "settings", "said"),
    [
        (4, {"num": 0}, "nothing to splice"),
        (1, {"num": 4, "val_share": 1.0}, "0 kept samples for the train split, splicing needs 2"),
        (1, {"num": 4, "mix": "2x2"}, "splicing needs 4"),
        (1, {"num": 0, "paste": 3, "val_share": 0.99}, "splicing needs 2"),
    ],
)
def test_too_little_to_splice(tmp_path, num, settings, said):
    path = labelled_run(tmp_path / "a", num)
    before = tree(path)
    with pytest.raises(UserError, match=said):
        splice(path, **settings)
    assert tree(path) == before


def test_single_sample_and_single_class(tmp_path):
    one = labelled_run(tmp_path / "one", 1, classes=("dog",))
    with pytest.raises(UserError, match="has 1 kept sample for the train split, splicing needs 2"):
        splice(one, num=3, mix="1x2", val_share=0)
    several = labelled_run(tmp_path / "several", 5, classes=("dog",))
    splice(several, num=3, paste=3, mix="1x2", val_share=0)
    assert all(record.row["classes"] == ["dog"] for record in records(several))


def test_labels_must_be_finished(tmp_path):
    path = labelled_run(tmp_path / "a", 4)
    (path / "refine/00001.parquet").unlink()
    with pytest.raises(UserError, match="1 of 2 shards have no labels yet: run 'dsfactory refine"):
        splice(path, num=3)
    for file in (path / "refine").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=f"{path} has no masks yet: run 'dsfactory refine {path}' first"):
        splice(path, num=3)


def test_other_settings_or_samples_are_never_mixed(tmp_path):
    path = labelled_run(tmp_path / "a", 4)
    splice(path, num=5, mix="1x2")
    with pytest.raises(UserError, match=r"splice was made with other settings \(blur: 0.2 → 0.9\): add --redo"):
        splice(path, num=5, blur=0.9)
    run = Run.open(path)
    run.grow(12, 4)
    label(run)
    with pytest.raises(UserError, match="kept samples have changed since they were spliced: add --redo"):
        splice(path, num=5)
    splice(path, num=4, redo=True)
    found = records(path)
    assert len(found) == 4
    assert sorted(file.name for file in (path / "splice").iterdir()) == [
        "00000.parquet", "00000.tar", "shards.json", "stage.json",
    ]  # fmt: skip


def test_redo_gives_what_a_first_run_gives(tmp_path):
    path, other = (labelled_run(tmp_path / name, 4) for name in "ab")
    splice(path, num=9, paste=2, mix="2x2")
    splice(path, num=5, paste=3, mix="1x2", redo=True)
    splice(other, num=5, paste=3, mix="1x2")
    assert tree(path) == tree(other)


def test_size_is_the_longer_side(tmp_path):
    path = labelled_run(tmp_path / "a", 4)
    splice(path, num=4, paste=2, mix="1x2,2x1,2x2", size=96, **PLAIN)
    sizes = {record.row["kind"]: (record.row["width"], record.row["height"]) for record in records(path)}
    assert sizes == {"1x2": (96, 48), "2x1": (48, 96), "2x2": (96, 96), "paste": (96, 96)}


def test_damaged_source_is_named(tmp_path):
    path = labelled_run(tmp_path / "a", 4)
    tar = path / "refine/00001.tar"
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    tar.write_bytes(data)
    summary = splice(path, num=8, mix="2x2", val_share=0)
    assert summary.exit_code == 3
    assert "refine/00001.tar: its bytes changed" in summary.stages[0].damaged[0]
    tar.unlink()
    with pytest.raises(DamagedShard, match="is missing"):
        splice(path, num=8, mix="2x2", val_share=0)


def test_columns_are_those_of_the_schema(made):
    table = pq.read_table(made / "splice/00000.parquet")
    assert {"key", "kind", "sources", "classes", "status"} <= set(table.column_names)


def test_labels_that_a_person_mended_win(tmp_path):
    path = labelled_run(tmp_path / "a", 3, rejected=(4,))
    splice(path, num=2, mix="1x2", val_share=0)
    scene = shapes(9, 2)
    files = (
        encode_index_png(scene.mask),
        encode_index_png(np.where(scene.mask == VOID, VOID, scene.instances).astype("u1")),
    )
    images = {record.key: record.files["image.png"] for spec in Run.open(path).shards()
              for record in Run.open(path).reader("generate", spec).records()}  # fmt: skip
    with changing_corrections(path) as writer:
        for number, image, mended in ((0, 0, files), (4, 4, files), (1, 1, None), (2, 3, None)):
            fix = {
                "image_sha256": digest(images[sample_key(image)]),
                "replaces_sha256": "",
                "source": "x",
                "format": "png",
            }
            writer.add(sample_key(number), fix, mended)
    with pytest.raises(UserError, match="kept samples have changed"):
        splice(path, num=2)
    splice(path, num=30, mix="1x2", val_share=0, redo=True, **PLAIN)
    found = records(path)
    # 1 has no labels any more, 4 was rejected and is mended; the fix of 2 was made for another image.
    assert {key for record in found for key in record.row["sources"]} == {sample_key(n) for n in (0, 2, 3, 4, 5)}
    half = resize(scene, 32, 32)
    for record in found:
        mask = decode_index_png(record.files["mask.png"])
        for place, key in enumerate(record.row["sources"]):
            if int(key) in (0, 4):
                assert np.array_equal(mask[:, 32 * place : 32 * place + 32], half.mask)
