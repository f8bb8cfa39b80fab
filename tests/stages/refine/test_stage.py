import numpy as np
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png, encode_rgb_png
from dsfactory.core.run import StageState
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardReader, ShardSpec, ShardWriter
from dsfactory.errors import UserError
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.stage import RefineStage
from tests.segment.tiny_sams import SAMS
from tests.stages.refine.scenes import draw_scene, iou

CLASSES = (ClassSpec(name="dog"), ClassSpec(name="bird"), ClassSpec(name="traffic light"))


def generated(number, classes, files, status="ok", reason=""):
    row = {
        "key": sample_key(number),
        "number": number,
        "class_name": classes[0],
        "classes": list(classes),
        "index": 0,
        "prompt": f"a photo of a {' and a '.join(classes)}",
        "source": "template",
        "seed": 1,
        "model": "tiny",
        "width": 128,
        "height": 128,
        "image_seed": 2,
        "attempts": 1,
        "queried": ["caption"] * len(classes),
        "status": status,
        "reason": reason,
    }
    return Record(row["key"], row, files)


def drawn(number, classes, scene):
    evidence = Evidence(scene.cross, scene.affinity).to_bytes()
    return generated(number, classes, {"image.png": encode_rgb_png(scene.image), "evidence.safetensors": evidence})


def refine(folder, records, config=RefineConfig()):  # noqa: B008 -- frozen
    """Write a generate shard, refine it, write the refine shard, read it back."""
    stage, shard = RefineStage(config, CLASSES), ShardSpec(0, 0, len(records))
    (folder / "generate").mkdir(parents=True)
    (folder / "refine").mkdir()
    with ShardWriter(folder / "generate", shard, GenerateStage.writes.schema, "g") as writer:
        for record in records:
            writer.add(record)
        writer.commit()
    stage.load()
    with ShardWriter(folder / "refine", shard, stage.writes.schema, "r") as writer:
        for record in stage.process(shard, ShardReader(folder / "generate", shard)):
            writer.add(record)
        writer.commit()
    return list(ShardReader(folder / "refine", shard).records())


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed, 1 + seed % 2) for seed in range(3)]


def test_masks_carry_the_ids_of_the_run(tmp_path, scenes):
    records = refine(tmp_path, [drawn(0, ("bird",), scenes[0]), drawn(1, ("traffic light", "dog"), scenes[1])])
    one, two = (decode_index_png(record.files["mask.png"]) for record in records)
    assert iou(one == 2, scenes[0].truth == 1) > 0.9
    assert iou(two == 3, scenes[1].truth == 1) > 0.9
    assert iou(two == 1, scenes[1].truth == 2) > 0.9
    assert set(np.unique(two)) <= {0, 1, 3, 255}
    assert [record.row["status"] for record in records] == ["ok", "ok"]


def test_rows_hold_everything_from_upstream_and_the_scores(tmp_path, scenes):
    (record,) = refine(tmp_path, [drawn(0, ("bird", "dog"), scenes[1])])
    mask, instances = (decode_index_png(record.files[name]) for name in ("mask.png", "instances.png"))
    row = record.row
    assert row["prompt"] == "a photo of a bird and a dog"
    assert row["area"] == pytest.approx([np.mean(mask == 2), np.mean(mask == 1)])
    assert row["void"] == pytest.approx(np.mean(mask == 255))
    assert sum(row["components"]) == len(set(np.unique(instances)) - {0, 255})
    assert all(len(row[name]) == 2 for name in ("threshold", "agreement", "claim", "peak", "area", "components"))


def test_same_input_same_bytes(tmp_path, scenes):
    records = [drawn(0, ("dog",), scenes[0]), drawn(1, ("bird", "dog"), scenes[1])]
    refine(tmp_path / "a", records)
    refine(tmp_path / "b", records)
    for name in ("00000.tar", "00000.parquet"):
        assert (tmp_path / "a/refine" / name).read_bytes() == (tmp_path / "b/refine" / name).read_bytes()


def test_missing_object_is_rejected_but_keeps_its_files(tmp_path, scenes):
    blank = {grid: np.zeros_like(maps) for grid, maps in scenes[0].cross.items()}
    evidence = Evidence(blank).to_bytes()
    files = {"image.png": encode_rgb_png(scenes[0].image), "evidence.safetensors": evidence}
    (record,) = refine(tmp_path, [generated(0, ("dog",), files)])
    assert record.row["status"] == "rejected"
    assert record.row["reason"] == "no mask for dog: its attention has no contrast"
    assert record.row["missing"] == ["its attention has no contrast"]
    assert record.row["area"] == [0.0]
    assert not decode_index_png(record.files["mask.png"]).any()
    assert "instances.png" in record.files


@pytest.mark.parametrize(("require", "status"), [("any", "ok"), ("all", "rejected")])
def test_an_image_without_its_first_class_is_kept_for_the_others(tmp_path, scenes, require, status):
    def without_first(maps):
        return {grid: np.concatenate([np.zeros_like(one[:1]), one]) for grid, one in maps.items()}

    evidence = Evidence(without_first(scenes[0].cross), without_first(scenes[0].affinity)).to_bytes()
    files = {"image.png": encode_rgb_png(scenes[0].image), "evidence.safetensors": evidence}
    (record,) = refine(tmp_path, [generated(0, ("dog", "bird"), files)], RefineConfig(require=require))
    why = "its attention has no contrast"
    assert record.row["status"] == status
    assert record.row["reason"] == ("" if status == "ok" else f"no mask for dog: {why}")
    assert record.row["missing"] == [why, ""]
    assert record.row["area"][0] == 0 < record.row["area"][1]
    assert [*RefineStage.check_record(record, ["dog", "bird", "traffic light"])] == []
    counts = dict(RefineStage.describe_rows([record.row]))
    assert (counts.get("ok, showing 1 class") == "1") == (status == "ok")


def test_damage_fails_one_sample_and_the_rest_goes_on(tmp_path, scenes):
    good = drawn(0, ("dog",), scenes[0]).files
    two = drawn(0, ("dog", "bird"), scenes[1]).files
    records = refine(
        tmp_path,
        [
            generated(0, ("dog",), good | {"image.png": good["image.png"][:500]}),
            generated(1, ("dog",), good | {"evidence.safetensors": good["evidence.safetensors"][:100]}),
            generated(2, ("dog",), good | {"evidence.safetensors": two["evidence.safetensors"]}),
            generated(3, ("dog",), {"image.png": good["image.png"]}),
            generated(4, ("dog",), good),
        ],
    )
    assert [record.row["status"] for record in records] == ["failed"] * 4 + ["ok"]
    reasons = [record.row["reason"] for record in records]
    assert "not a readable PNG" in reasons[0]
    assert "evidence" in reasons[1]
    assert "2 classes" in reasons[2]
    assert "evidence.safetensors is missing" in reasons[3]
    assert all(not record.files for record in records[:4])


def test_failed_samples_stay_failed_with_their_reason(tmp_path, scenes):
    records = refine(
        tmp_path,
        [generated(0, ("dog",), {}, "failed", "the image is black"), drawn(1, ("bird",), scenes[0])],
    )
    assert [record.row["status"] for record in records] == ["failed", "ok"]
    assert records[0].row["reason"] == "the image is black"
    assert records[0].row["threshold"] is None
    assert not records[0].files


def test_identity_tells_what_decides_the_bytes():
    base = RefineStage(RefineConfig(), CLASSES).identity()
    assert RefineStage(RefineConfig(threshold=0.4), CLASSES).identity() != base
    assert RefineStage(RefineConfig(), CLASSES[::-1]).identity() != base
    assert RefineStage(RefineConfig(), CLASSES).identity() == base


def test_missing_crf_backend_is_named(monkeypatch):
    monkeypatch.setattr("dsfactory.stages.refine.stage.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pydensecrf is not installed"):
        RefineStage(RefineConfig(crf_backend="pydensecrf"), CLASSES)
    RefineStage(RefineConfig(), CLASSES).load()


def test_row_that_names_a_foreign_class_fails_alone(tmp_path, scenes):
    good = drawn(0, ("dog",), scenes[0]).files
    records = refine(tmp_path, [generated(0, ("elephant",), good), drawn(1, ("dog",), scenes[0])])
    assert [record.row["status"] for record in records] == ["failed", "ok"]
    assert "'elephant', which the run does not have" in records[0].row["reason"]
    assert not records[0].files


def test_masks_made_by_torch_have_the_labels_of_a_core(tmp_path, scenes):
    """PyTorch on a CPU stands for a GPU here."""
    records = [drawn(number, ("dog", "bird")[: len(scene.cross[16, 16])], scene) for number, scene in enumerate(scenes)]
    here = refine(tmp_path / "core", records)
    there = refine(tmp_path / "torch", records, RefineConfig(crf_backend="torch", device="cpu"))
    for one, other in zip(here, there, strict=True):
        masks = [decode_index_png(record.files["mask.png"]) for record in (one, other)]
        assert (masks[0] == masks[1]).mean() > 0.998
    assert RefineStage(RefineConfig(), CLASSES).device is None
    assert RefineStage(RefineConfig(crf_backend="torch"), CLASSES).on_device("cuda:1").device == "cuda:1"


def test_a_promptable_segmenter_is_heard_about_every_object(tmp_path, scenes):
    SAMS["sam"]().save_pretrained(tmp_path / "sam")
    config = RefineConfig(snap=str(tmp_path / "sam"), device="cpu")
    records = [drawn(0, ("dog",), scenes[0])]
    (plain,), (heard,) = refine(tmp_path / "plain", records), refine(tmp_path / "heard", records, config)
    objects = len({*decode_index_png(plain.files["instances.png"]).ravel().tolist()} - {0, 255})
    assert len(heard.row["snap_iou"]) == len(heard.row["snap_score"]) == objects > 0
    assert plain.row["snap_iou"] is None
    identity = RefineStage(config, CLASSES).identity()
    assert "snap" not in RefineStage(RefineConfig(), CLASSES).identity() and len(identity["snap"]) == 32
    with pytest.raises(UserError, match="not the folder of a promptable segmenter"):
        RefineStage(RefineConfig(snap=str(tmp_path / "plain")), CLASSES).identity()


def test_a_run_that_goes_on_keeps_its_rules_and_a_new_one_has_those_of_today():
    def rules(config, identity=None):
        facts = {"stage": "refine", "version": 7, "fingerprint": "", "upstream": "", "identity": identity}
        state = None if identity is None else StageState(**facts)
        settled = RefineStage(config, CLASSES).settled(state, None)
        return settled.config.recipe, settled.config.instances, settled.identity()

    base = RefineStage(RefineConfig(), CLASSES).identity()
    *new, identity = rules(RefineConfig())
    assert new == ["family", "counted"] and identity == {**base, "recipe": "family", "instances": "counted"}
    assert rules(RefineConfig(), base) == ("mean", "components", base)
    assert rules(RefineConfig(), identity) == ("family", "counted", identity)
    assert rules(RefineConfig(recipe="levels", instances="shape"), base)[:2] == ("levels", "shape")


def test_objects_are_counted_against_the_prompt(tmp_path, scenes):
    two = drawn(0, ("dog", "bird"), scenes[1])
    two.row["prompt"] = "two dogs and a bird"
    some = drawn(1, ("dog",), scenes[0])
    some.row["prompt"] = "the dog"
    two, some = refine(tmp_path, [two, some])
    assert two.row["asked"] == [2, 1]
    assert two.row["count_off"] == [two.row["components"][0] - 2, 0] and two.row["components"][1] == 1
    assert some.row["asked"] == some.row["count_off"] == [None]
