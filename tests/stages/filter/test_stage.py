"""The job on runs whose masks are known, with real networks trained for seconds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import VOID
from dsfactory.errors import UserError
from dsfactory.jobs.export import ExportOptions, export_job
from dsfactory.jobs.settings import merge_settings
from dsfactory.jobs.status import status_of
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.brought import bring
from tests.command import tree
from tests.making import make, planned
from tests.stages.filter.scenes import QUICK, draw_scene, make_run, scenes_with_noise

WRONG = 4
HARDLY = {"segment": {"steps": 1}}
"""Networks that learn next to nothing, where it does not matter what they say."""


def run_filter(path, redo=False, **more):
    return make("filter", path, merge_settings(QUICK, {"filter": more}), redo=redo)


def decided(path, **more):
    """What a dry run says of the verdicts."""
    return planned("filter", path, merge_settings(QUICK, {"filter": more}))


def rows_of(path):
    run = Run.open(path)
    return [row for spec in run.finished("filter") for row in run.reader("filter", spec).rows]


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    """24 samples of which the first four have wrong masks, filtered. Not to be changed."""
    path = make_run(tmp_path_factory.mktemp("filtered") / "a", scenes_with_noise(24, WRONG))
    run_filter(path)
    return path


@pytest.fixture
def run_path(filtered, tmp_path):
    return Path(shutil.copytree(filtered, tmp_path / "a"))


def test_wrong_masks_are_dropped_with_their_reason(filtered):
    rows = rows_of(filtered)
    dropped = [row["number"] for row in rows if row["status"] == "dropped"]
    assert set(range(WRONG)) <= set(dropped) and len(dropped) <= WRONG + 3
    worst = rows[0]
    assert (worst["kept"], worst["drop_reason"]) == (False, "iou")
    assert worst["reason"] == "the label disagrees with what the other folds learnt"
    assert worst["confident_iou"][0] < 0.5 * np.median([row["confident_iou"][0] for row in rows])
    kept = rows[-1]
    assert (kept["kept"], kept["drop_reason"], kept["reason"], kept["duplicate_of"]) == (True, "", "", "")


def test_what_the_run_held_before_is_left_alone(filtered, tmp_path):
    make_run(tmp_path / "b", scenes_with_noise(24, WRONG))
    before, after = tree(tmp_path / "b"), tree(filtered)
    assert {path: after[path] for path in before if path != "config.yaml"} == {
        path: data for path, data in before.items() if path != "config.yaml"
    }


def test_dropped_masks_stay_as_they_were_and_kept_ones_lose_doubtful_pixels(filtered):
    run = Run.open(filtered)
    for spec in run.shards():
        pairs = zip(run.reader("refine", spec).records(), run.reader("filter", spec).records(), strict=True)
        for refined, judged in pairs:
            old, new = (decode_index_png(record.files["mask.png"]) for record in (refined, judged))
            assert (new[new != VOID] == old[new != VOID]).all()
            assert judged.row["filter_void"] == pytest.approx(np.mean(new == VOID))
            if judged.row["status"] == "dropped":
                assert judged.files == refined.files
    assert sum(row["filter_void"] for row in rows_of(filtered) if row["kept"]) > 0


def test_a_finished_job_does_nothing(run_path):
    before = tree(run_path)
    summary = run_filter(run_path)
    assert (summary.stages[0].made, summary.facts["judged"]) == (0, 24)
    assert summary.facts["dropped"] == summary.stages[0].statuses["dropped"]
    assert tree(run_path) == before


def test_it_shows_in_status_and_passes_verify(run_path):
    stage = next(stage for stage in status_of(run_path)["stages"] if stage["stage"] == "filter")
    assert stage["statuses"]["dropped"] >= WRONG
    found = verify_path(run_path, Silent())
    assert (found.faults, found.notes) == ([], [])
    assert found.checked["filter shards"] == 3


def test_dropped_samples_are_not_exported(run_path):
    kept = sum(row["kept"] for row in rows_of(run_path))
    (summary,) = export_job(run_path, "voc", None, 0.0)
    assert summary.images["train"] == kept
    mask = run_path / "export/voc/SegmentationClass/00000023.png"
    run = Run.open(run_path)
    record = list(run.reader("filter", run.shards()[-1]).records())[-1]
    assert mask.read_bytes() == record.files["mask.png"]
    (summary,) = export_job(run_path, "voc", None, 0.0, redo=True, options=ExportOptions(without=["filter"]))
    assert summary.images["train"] == 24


def test_other_rules_need_redo_and_no_training(run_path):
    before = {name: data for name, data in tree(run_path / "filter").items() if name.startswith("fold-")}
    with pytest.raises(UserError, match=r"keep: \"auto\" → 0.5.*--redo"):
        run_filter(run_path, keep=0.5)
    changed = [(run_path / "filter" / name).stat().st_mtime_ns for name in before]
    run_filter(run_path, redo=True, keep=0.5, min_area=0.0)
    assert [(run_path / "filter" / name).stat().st_mtime_ns for name in before] == changed
    assert sum(row["kept"] for row in rows_of(run_path)) == 12


@pytest.mark.long
def test_after_other_folds_nothing_of_the_old_is_left(run_path):
    run_filter(run_path, redo=True, folds=3, **HARDLY)
    names = {path.name for path in (run_path / "filter").iterdir()}
    assert {"fold-0.safetensors", "fold-1.safetensors", "fold-2.safetensors"} <= names
    run_filter(run_path, redo=True, **HARDLY)
    assert not (run_path / "filter" / "fold-2.safetensors").exists()


@pytest.mark.long
def test_a_run_that_has_grown_is_judged_again_as_a_whole(tmp_path, capsys):
    """A run of 16 samples and the one of 24 have the first two shards in common."""
    path, at_once = (
        make_run(tmp_path / name, scenes_with_noise(count, WRONG)) for name, count in (("a", 16), ("b", 24))
    )
    run_filter(path, **HARDLY)
    added = [f"{stage}/00002.{kind}" for stage in ("generate", "refine") for kind in ("tar", "parquet")]
    for name in ("run.json", *added):
        shutil.copy(at_once / name, path / name)
    with pytest.raises(UserError, match="filter has judged 2 of 3 shards: run 'dsfactory filter"):
        export_job(path, "coco", None, 0.1)
    with pytest.raises(UserError, match="add --redo"):  # other settings are still the user's decision
        run_filter(path, keep=0.5, **HARDLY)
    capsys.readouterr()
    run_filter(path, **HARDLY)
    assert "24 samples with masks, 16 when it was filtered: all are judged again" in capsys.readouterr().err
    run_filter(at_once, **HARDLY)
    assert tree(path / "filter") == tree(at_once / "filter")


def test_masks_made_again_make_the_verdicts_old(run_path):
    state = json.loads((run_path / "refine/stage.json").read_text())
    state["fingerprint"] = "0" * 32
    (run_path / "refine/stage.json").write_text(json.dumps(state))
    with pytest.raises(UserError, match=r"made again since: run 'dsfactory filter .* --redo' first"):
        export_job(run_path, "coco", None, 0.1)
    with pytest.raises(UserError, match=r"its refine was made again.*--redo"):
        run_filter(run_path)


def test_an_unfinished_filter_is_not_exported(run_path):
    (run_path / "filter/00001.parquet").unlink()
    with pytest.raises(UserError, match="filter has judged 2 of 3 shards"):
        export_job(run_path, "coco", None, 0.1)


def test_a_dry_run_keeps_its_networks_for_the_work_and_decides_the_same(tmp_path):
    path = make_run(tmp_path / "b", scenes_with_noise(4, 0))
    before = tree(path)
    plan = decided(path, min_area=0.2, **HARDLY)
    after = tree(path)
    networks = {name: data for name, data in after.items() if name not in before}
    assert networks.keys() == {f"filter/{name}" for name in ("crossval.json", "fold-0.safetensors",
                                                             "fold-1.safetensors", "scores.parquet")}  # fmt: skip
    assert {name: after[name] for name in before} == before
    assert any("hardly learnt disc, square" in line for line in plan.notes)
    assert plan.in_words()[-1].startswith("nothing was written but the networks of filter")
    times = {name: (path / name).stat().st_mtime_ns for name in networks}
    made = run_filter(path, min_area=0.2, **HARDLY)
    assert {name: (path / name).stat().st_mtime_ns for name in networks} == times
    assert made.facts == plan.facts
    assert made.facts["dropped"] == sum(row["status"] == "dropped" for row in rows_of(path)) > 0
    verdicts = tree(path)
    assert decided(path, min_area=0.2, **HARDLY).facts == plan.facts  # with the networks that are there
    planned("filter", path, merge_settings(QUICK, {"filter": {**HARDLY, "folds": 3}}), redo=True)
    assert tree(path) == verdicts  # these would lose their networks


def test_a_class_that_refine_left_out_says_nothing(tmp_path):
    """It is no class of the label, whose scores then have no value for it; the sample counts for what it shows."""
    scenes = [type(scene)(scene.image, scene.mask, ("square", "disc")) for scene in
              (draw_scene(number, "disc") for number in range(6))]  # fmt: skip
    path = make_run(tmp_path / "a", scenes)
    run = Run.open(path)
    for row in run.reader("refine", run.shards()[0]).rows:
        assert row["status"] == "ok"
    made = run_filter(path, min_area=0.01, **HARDLY)
    assert made.facts["reasons"].get("area", 0) == 0
    assert made.facts["classes"].keys() == {"disc"}
    for row in rows_of(path):
        assert row["iou"][0] is row["confident_iou"][0] is row["evidence"][0] is None
        assert row["evidence"][1] is not None
    assert verify_path(path, Silent()).faults == []


def test_pictures_show_what_goes(filtered, tmp_path):
    from PIL import Image

    picture = tmp_path / "gone.png"
    facts = decided(filtered, pictures=str(picture)).facts
    assert facts["pictures"] == str(picture)
    with Image.open(picture) as image:
        image.load()
        assert image.width >= 256 * min(facts["dropped"], 6)
    nothing = {"keep": 1.0, "min_area": 0.0, "duplicate_distance": 0.0, "pictures": str(tmp_path / "none.png")}
    facts = planned("filter", filtered, merge_settings(QUICK, {"filter": nothing}), redo=True).facts
    assert (facts["pictures"], facts["dropped"]) == (None, 0)
    assert not (tmp_path / "none.png").exists()


def test_damaged_networks_are_trained_again_to_the_same_bytes(tmp_path):
    path = make_run(tmp_path / "a", scenes_with_noise(8, 0))
    run_filter(path, **HARDLY)
    before = tree(path)
    network = path / "filter" / "fold-1.safetensors"
    data = bytearray(network.read_bytes())
    data[-1] ^= 1
    network.write_bytes(data)
    assert "networks and scores of filter" in verify_path(path, Silent()).notes[0]
    run_filter(path, **HARDLY)
    assert tree(path) == before


def test_failed_and_rejected_samples_stay_what_they_are(tmp_path):
    scenes = scenes_with_noise(8, 0)
    blank = draw_scene(5)
    scenes[5] = type(blank)(blank.image, np.zeros_like(blank.mask), blank.classes)
    path = make_run(tmp_path / "a", scenes)
    run_filter(path, **HARDLY)
    row = rows_of(path)[5]
    assert (row["status"], row["reason"], row["kept"]) == ("rejected", "no mask for square", False)
    assert row["fold"] is None and row["drop_reason"] is None
    assert verify_path(path, Silent()).faults == []


def test_one_class_alone(tmp_path, capsys):
    scenes = [draw_scene(number, "disc") for number in range(8)]
    path = make_run(tmp_path / "a", scenes, ("disc",))
    run_filter(path, **HARDLY)
    assert "disc is the only class" in capsys.readouterr().err
    assert len(rows_of(path)) == 8


@pytest.mark.parametrize(
    ("count", "settings", "says"),
    [
        (1, {}, "1 sample with a mask, fewer than the 2 folds"),
        (4, {"keep": 1.5}, "keep 1.5"),
        (4, {"keep": "most"}, "keep 'most'"),
        (4, {"folds": 1}, "filter.folds"),
        (4, {"min_area": 0.95}, "min_area 0.95 is not below max_area"),
        (4, {"segment": {"checkpoint": "/nowhere"}}, "segmenter /nowhere cannot be loaded"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(tmp_path, count, settings, says):
    path = make_run(tmp_path / "a", scenes_with_noise(count, 0))
    before = tree(path)
    with pytest.raises(UserError, match=says):
        run_filter(path, **settings)
    left = tree(path)
    left["config.yaml"] = before["config.yaml"]  # a checkpoint that is not there shows when it is loaded
    assert left == before


def test_filter_before_refine(tmp_path):
    path = make_run(tmp_path / "a", scenes_with_noise(4, 0))
    shutil.rmtree(path / "refine")
    with pytest.raises(UserError, match=f"has no masks yet: run 'dsfactory refine {path}' first"):
        run_filter(path)


def test_labels_without_what_is_judged_are_refused(tmp_path, monkeypatch):
    bring(monkeypatch)
    make("squares", tmp_path / "a", {"classes": "dog,bird", "num": 2})
    with pytest.raises(UserError, match="filter cannot judge what squares labels: it writes no column 'area'"):
        run_filter(tmp_path / "a")
    assert not (tmp_path / "a" / "filter").exists()
