"""Exports of some classes, of the best samples, in another size, with a test split; each verifies against its run."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsfactory.dataset.split import split_of
from dsfactory.errors import UserError
from dsfactory.formats import FORMATS
from dsfactory.jobs.choice import Choice
from dsfactory.jobs.export import ExportOptions, export_job
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import called
from tests.test_runs_of_before import runs  # noqa: F401 -- a fixture


@pytest.fixture
def run_path(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "a", ignore=shutil.ignore_patterns("export")))


def faults(run_path: Path, format: str) -> list[object]:
    found = verify_path(run_path / "export" / format, Silent())
    return [*found.faults, *found.notes]


def test_one_class_has_the_first_id_and_others_are_background(run_path):
    export_job(run_path, "coco,voc", None, 0.1, options=ExportOptions(choice=Choice(classes=("bird",))))
    for format in ("coco", "voc"):
        assert faults(run_path, format) == []
    masks = [np.asarray(Image.open(path)) for path in (run_path / "export/voc/SegmentationClass").glob("*.png")]
    assert masks and {*np.unique(np.stack(masks))} <= {0, 1, 255}
    content = json.loads((run_path / "export/coco/annotations/instances_train.json").read_text())
    assert [item["name"] for item in content["categories"]] == ["bird"]


def test_the_best_of_each_class(run_path):
    (all_of_them,) = export_job(run_path, "png", run_path.parent / "all", 0.1)
    (few,) = export_job(run_path, "coco", None, 0.1, options=ExportOptions(choice=Choice(top=1)))
    assert 1 <= sum(few.images.values()) <= 2 < sum(all_of_them.images.values())
    assert faults(run_path, "coco") == []


@pytest.mark.parametrize("size", [32, 100])
def test_images_and_labels_are_resized_together(run_path, size):
    export_job(run_path, "coco,voc", None, 0.1, options=ExportOptions(choice=Choice(size=size)))
    for format in ("coco", "voc"):
        assert faults(run_path, format) == []
    for folder in ("JPEGImages", "SegmentationObject"):
        sizes = {Image.open(path).size for path in (run_path / "export/voc" / folder).iterdir()}
        assert sizes == {(size, size)}


def test_a_test_split_in_every_format(run_path):
    summaries = export_job(run_path, ",".join(FORMATS), None, 0.3, options=ExportOptions(test_share=0.4))
    for summary in summaries:
        assert summary.images["test"] > 0
        assert faults(run_path, summary.format) == []
        with open(summary.out / "provenance.csv", newline="", encoding="utf-8") as file:
            assert all(row["split"] == split_of(row["key"], 0.3, 0.4) for row in csv.DictReader(file))
    assert (run_path / "export/voc/ImageSets/Segmentation/test.txt").read_text().split()
    assert "test: images/test" in (run_path / "export/yolo/data.yaml").read_text()


def test_more_test_leaves_val_as_it_is():
    keys = [f"{number:08d}" for number in range(500)]
    sides = [[split_of(key, 0.2, share) for key in keys] for share in (0.0, 0.2, 0.5)]
    for side in sides:
        assert [value == "val" for value in side] == [value == "val" for value in sides[0]]
    assert 60 < sides[1].count("test") < 140


def test_composed_samples_keep_clear_of_the_test_split(runs):  # noqa: F811
    with pytest.raises(UserError, match=r"test-share 0.3.*--val-share 0.4 --redo"):
        export_job(runs / "drawn", "coco", None, 0.1, options=ExportOptions(test_share=0.3))


@pytest.mark.parametrize(("flags", "said"), [
    (["--classes", "cat"], "--classes cat: the run has dog, bird"),
    (["--classes", "dog,dog"], "named twice"),
    (["--val-share", "0.6", "--test-share", "0.6"], "more than there is"),
])  # fmt: skip
def test_what_cannot_be_is_one_line(run_path, flags, said):
    done = called("export", str(run_path), *flags, cwd=run_path.parent)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (run_path / "export").exists()


def test_flags_reach_the_export_and_tell_it_from_others(run_path):
    flags = ["--classes", "dog", "--top", "2", "--size", "48", "--image-format", "jpg", "--test-share", "0.2"]
    done = called("export", str(run_path), "--format", "coco", *flags, cwd=run_path.parent)
    assert done.returncode == 0, done.stderr
    again = called("export", str(run_path), "--format", "coco", cwd=run_path.parent)
    assert again.returncode == 2 and "size: 48 → null" in again.stderr
    assert faults(run_path, "coco") == []
