"""``dsfactory evaluate`` as a user calls it: a run on the one side, a VOC folder on the other."""

import json
import os
import shutil
import signal
import time

import pytest
from PIL import Image

from scripts.rendered_run import LabelledScene, write_run
from tests.command import called, command, tree
from tests.evaluate.folders import LABELMAP, write_list, write_voc
from tests.segment.shapes import shape_pair, shape_pairs

SMALL = ["--side", "32", "--batch-size", "4", "--device", "cpu"]
FILES = {"results.json", "table.md", "table.csv", "plot.png"}


def make_run(path, classes=("square", "bar"), count=6):
    scenes = [LabelledScene(*shape_pair(100 + seed), classes[seed % 2 : seed % 2 + 1]) for seed in range(count)]
    write_run(path, classes, scenes, shard_size=4)


def evaluate(folder, *arguments):
    """``dsfactory evaluate`` in this process."""
    return called("evaluate", *SMALL, *arguments, cwd=folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a run, a real set, and a finished evaluation of two repetitions."""
    folder = tmp_path_factory.mktemp("evaluate")
    make_run(folder / "a")
    write_voc(folder / "real")
    done = evaluate(folder, "a", "--real", "real", "--steps", "3", "--repeats", "2", "--json")
    assert done.returncode == 0, done.stderr
    (folder / "stdout.json").write_text(done.stdout)
    return folder


@pytest.fixture
def place(made, tmp_path):
    """A copy of the run and the real set, not evaluated."""
    shutil.copytree(made / "a", tmp_path / "a", ignore=lambda folder, names: {"evaluate"} & {*names})
    shutil.copytree(made / "real", tmp_path / "real")
    return tmp_path


def test_the_network_that_comes_along_is_one_to_start_from(place):
    done = evaluate(place, "a", "--real", "real", "--steps", "2", "--segmenter", "efficientnet-lite0", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads((place / "a/evaluate/results.json").read_text())
    assert found["segmenter"] == "efficientnet-lite0"


def test_the_summary_says_what_was_measured(made):
    found = json.loads((made / "stdout.json").read_text())
    assert found == json.loads((made / "a/evaluate/results.json").read_text())
    for arm in ("synthetic", "real", "both"):
        assert 0 <= found[f"miou_{arm}"] <= 1 and found["spread"][arm] is not None
    assert found["ratio"] == pytest.approx(found["miou_synthetic"] / found["miou_real"], abs=1e-4)
    assert set(found["per_class"]) == {"background", "square", "bar"}
    assert set(found["per_class"]["bar"]) == {"synthetic", "real", "both"}
    assert (found["synthetic_images"], found["real_images"], found["val_images"]) == (6, 4, 3)
    assert (found["steps"], found["repeats"], found["seed"]) == (3, 2, 0)
    assert "torch" in found["versions"]


def test_table_and_plot_are_in_the_run_and_no_checkpoint_is_left(made):
    folder = made / "a" / "evaluate"
    assert {path.name for path in folder.iterdir()} == FILES | {"trainings"}
    assert "| square |" in (folder / "table.md").read_text()
    assert Image.open(folder / "plot.png").width > 300
    assert len([*(folder / "trainings").iterdir()]) == 6
    assert {path.suffix for path in (folder / "trainings").iterdir()} == {".json"}


def test_the_same_command_again_trains_nothing_and_says_so(made):
    before = tree(made / "a")
    done = evaluate(made, "a", "--real", "real", "--steps", "3", "--repeats", "2")
    assert done.returncode == 0 and "nothing to do, all trainings were there" in done.stdout
    assert "mIoU" in done.stdout and "± over repeats" in done.stdout
    assert tree(made / "a") == before


def test_other_synthetic_data_leaves_the_training_on_real_data_as_it_is(made, tmp_path):
    shutil.copytree(made / "real", tmp_path / "real")
    make_run(tmp_path / "b", count=5)
    shutil.copytree(made / "a/evaluate", tmp_path / "b/evaluate")
    done = evaluate(tmp_path, "b", "--real", "real", "--steps", "3")
    assert "2 trainings made now" in done.stdout, done.stderr


@pytest.mark.long
def test_a_killed_evaluation_ends_as_one_that_was_not(place):
    arguments = ["evaluate", "a", "--real", "real", "--steps", "8", *SMALL]
    process = command(*arguments, cwd=place, wait=False)
    trainings = place / "a/evaluate/trainings"
    deadline = time.monotonic() + 240
    while not list(trainings.glob("synthetic-0-*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    finished = tree(trainings)
    assert finished and not (place / "a/evaluate/results.json").exists()
    done = called(*arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "3 trainings made now" not in done.stdout
    killed = tree(place / "a")
    assert finished.items() <= tree(trainings).items()
    shutil.rmtree(place / "a/evaluate")
    assert called(*arguments, "--quiet", cwd=place).stdout == ""
    assert tree(place / "a") == killed


def test_another_folder_can_take_the_place_of_the_run_and_of_its_results(place):
    write_voc(place / "made", [shape_pair(seed) for seed in range(30, 35)])
    done = evaluate(place, "a", "--real", "real", "--synthetic", "made", "--out", "found", "--steps", "2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["run"], found["synthetic_images"]) == ("made", 5)
    assert {path.name for path in (place / "found").iterdir()} == FILES | {"trainings"}
    assert not (place / "a/evaluate").exists()


def test_one_image_on_each_list_is_enough(place):
    make_run(place / "one", count=1)
    write_voc(place / "two", [shape_pair(0), shape_pair(1)], train=1)
    done = evaluate(place, "one", "--real", "two", "--steps", "2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["val_images"] == 1 and found["absent"] == ["square"]
    assert "no image on the val list of two shows square: left out of the means" in done.stderr


def test_an_image_on_both_lists_is_said_aloud(place):
    (place / "real/ImageSets/Segmentation/val.txt").write_text("003\n004\n")
    done = evaluate(place, "a", "--real", "real", "--steps", "1")
    assert "1 image of real are on both the train and the val list" in done.stderr


def refused(place, *arguments, code=2):
    """What a command says that changes nothing."""
    before = tree(place)
    done = evaluate(place, *arguments, "--steps", "1")
    lines = [line for line in done.stderr.splitlines() if line.startswith("dsfactory:")]
    assert done.returncode == code and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    assert tree(place) == before
    return lines[0]


def test_a_class_that_the_real_set_lacks(place):
    (place / "real/labelmap.txt").write_text(LABELMAP.replace("bar", "pole"))
    assert "real has no class 'bar': it has square, pole. Rename it in labelmap.txt" in refused(
        place, "a", "--real", "real"
    )


def test_bad_input_is_one_line_and_writes_nothing(place):
    make_run(place / "c", ("cat", "dog"), 2)
    (place / "text").write_text("no folder")
    for arguments, said in (
        (["a", "--real", "nowhere"], "nowhere is not a folder"),
        (["a", "--real", "text"], "text is not a folder"),
        (["a", "--real", "a"], "has no folder JPEGImages"),
        (["nowhere", "--real", "real"], "nowhere is not there"),
        (["real", "--real", "real"], "is not a dsfactory run"),
        (["c", "--real", "real"], "real has no class 'cat'"),
        (["a", "--real", "real", "--synthetic", "nowhere"], "nowhere is not a folder"),
        (["a", "--real", "real", "--repeats", "0"], "repeats"),
        (["a", "--real", "real", "--learning-rate", "0"], "learning_rate"),
        (["a", "--real", "real", "--segmenter", "nowhere/"], "segmenter nowhere/ cannot be loaded"),
        (["a", "--real", "real", "--device", "cuda:99"], "cannot be used on this machine"),
    ):
        assert said in refused(place, *arguments), arguments


def test_a_val_list_without_any_of_the_classes(place):
    for path in (place / "real/SegmentationClass").glob("00[456].png"):
        Image.new("L", (32, 32)).save(path)
    assert "shows square, bar: there is nothing to test on" in refused(place, "a", "--real", "real")


def test_a_run_without_masks_and_one_of_which_nothing_is_kept(place):
    for path in (place / "a/refine").iterdir():
        path.unlink()
    assert "no masks yet" in refused(place, "a", "--real", "real")


def test_lists_of_conditions_give_rows_of_their_own(place):
    write_list(place / "real", "val-dark", ["005"])
    done = evaluate(place, "a", "--real", "real", "--steps", "2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["by_condition"]) == {"dark"} and set(found["by_condition"]["dark"]) == {
        "synthetic",
        "real",
        "both",
    }
    again = evaluate(place, "a", "--real", "real", "--steps", "2")
    assert "mIoU, dark" in again.stdout
    write_list(place / "real", "val-dark", ["000"])
    wrong = evaluate(place, "a", "--real", "real", "--steps", "2")
    assert wrong.returncode == 2 and "val-dark.txt" in wrong.stderr


def test_sets_are_compared_without_training(tmp_path):
    make_run(tmp_path / "a", count=12)
    write_voc(tmp_path / "few")
    done = called("evaluate", "a", "--real", "few", "--sets", cwd=tmp_path)
    assert done.returncode == 2 and "too few to compare" in done.stderr
    write_voc(tmp_path / "real", shape_pairs(24), train=12)
    done = called("evaluate", "a", "--real", "real", "--sets", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no Fréchet distance" in done.stdout and "trainings" not in str([*(tmp_path / "a/evaluate").iterdir()])
    found = json.loads((tmp_path / "a/evaluate/sets.json").read_text())
    assert found["counts"] == {"synthetic": 12, "real": 24, "compared": 12}
    assert set(found["images"]) == set(found["floor"])
    assert (tmp_path / "a/evaluate/unlike.png").read_bytes().startswith(b"\x89PNG")
