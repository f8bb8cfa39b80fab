"""``dsfactory filter`` as a user meets it: real processes on a run of drawn scenes."""

import json
import shutil
import time

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.command import called, command, tree
from tests.stages.filter.scenes import draw_scene, make_run, scenes_with_noise

QUICK = ["--folds", "2", "--device", "cpu", "--set", "filter.segment.steps=40", "--set", "filter.segment.batch_size=4",
         "--set", "filter.segment.side=32", "--set", "filter.segment.learning_rate=0.004"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of 16 samples, the first three with wrong masks, filtered by the command. Not to be changed."""
    folder = tmp_path_factory.mktemp("filter")
    make_run(folder / "a", scenes_with_noise(16, 3))
    done = called("filter", "a", *QUICK, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def test_it_says_what_goes_and_why(folder):
    said = (folder / "said.txt").read_text()
    assert "of 16 samples with a mask are dropped" in said
    assert "iou        the label disagrees with what the other folds learnt" in said
    assert "disc: " in said and "dsfactory export a --format coco" in said


@pytest.mark.long
def test_killed_between_the_folds_it_goes_on_to_the_same_bytes(folder, tmp_path):
    make_run(tmp_path / "a", scenes_with_noise(16, 3))
    child = command("filter", "a", *QUICK, cwd=tmp_path, wait=False)
    end = time.monotonic() + 240
    while not (first := tmp_path / "a/filter/fold-0.safetensors").exists() and child.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    child.kill()
    child.communicate()
    assert child.returncode == -9, "it was done before it could be killed"
    trained = first.stat().st_mtime_ns
    (first.parent / "fold-0-0123456789abcdef.checkpoint").write_bytes(b"left by a kill")
    assert called("export", "a", cwd=tmp_path).returncode == 0  # nothing half-done is in the way
    done = called("filter", "a", cwd=tmp_path)  # the settings were saved before the training
    assert done.returncode == 0, done.stderr
    assert first.stat().st_mtime_ns == trained
    assert tree(tmp_path / "a/filter") == tree(folder / "a/filter")


def test_a_dry_run_counts_draws_and_writes_nothing(folder):
    before = tree(folder / "a")
    done = called("filter", "a", "--dry-run", "--pictures", "gone.png", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["dry_run"], summary["judged"], summary["pictures"]) == (True, 16, "gone.png")
    assert summary["dropped"] == sum(summary["reasons"].values()) >= 3
    assert {name: counts["judged"] for name, counts in summary["classes"].items()} == {"disc": 8, "square": 8}
    assert (folder / "gone.png").read_bytes().startswith(b"\x89PNG")
    assert tree(folder / "a") == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--keep", "30"], "keep '30': give 'auto' or a share above 0 and up to 1"),
        (["--keep", "0.5"], "add --redo"),
        (["--folds", "1"], "filter.folds"),
        (["--pictures", "nowhere/a.png"], "there is no folder nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, arguments, says):
    before = tree(folder / "a")
    done = called("filter", "a", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert tree(folder / "a") == before


def test_copies_of_images_to_avoid_go_with_the_nearest_named(folder, tmp_path):
    make_run(tmp_path / "a", scenes_with_noise(16, 3))
    (tmp_path / "test").mkdir()
    Image.fromarray(draw_scene(5).image[:, ::-1]).save(tmp_path / "test/mirrored.png")
    Image.fromarray(draw_scene(99).image).save(tmp_path / "test/other.png")
    (tmp_path / "test/broken.png").write_bytes(b"no image")
    shutil.copytree(folder / "a/filter", tmp_path / "a/filter")  # the same samples: their networks are there
    before = tree(tmp_path / "a")
    done = called("filter", "a", *QUICK, "--avoid", "test", "--redo", "--dry-run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reasons"]["copy"] == 1 and tree(tmp_path / "a") == before
    done = called("filter", "a", *QUICK, "--avoid", "test", "--redo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "copy       the image is a copy" in done.stdout
    rows = [row for path in (tmp_path / "a/filter").glob("0*.parquet") for row in pq.read_table(path).to_pylist()]
    (copy,) = [row for row in rows if row["drop_reason"] == "copy"]
    assert copy["key"] == "00000005" and "mirrored.png" in copy["decided"]
    assert called("verify", "a", cwd=tmp_path).returncode == 0
    done = called("filter", "a", "--avoid", "nowhere", "--redo", cwd=tmp_path)
    assert done.returncode == 2 and "nowhere is no folder" in done.stderr
    (tmp_path / "empty").mkdir()
    done = called("filter", "a", "--avoid", "empty", "--redo", cwd=tmp_path)
    assert done.returncode == 2 and "no picture in empty" in done.stderr and done.stderr.count("\n") == 1
