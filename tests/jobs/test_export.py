"""What exports say of samples that a person corrected, of images without objects, and of an empty split."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dsfactory.core.png import decode_index_png
from dsfactory.formats import FORMATS
from dsfactory.jobs.corrections import import_job
from dsfactory.jobs.export import ExportOptions, export_job
from dsfactory.jobs.samples import samples_of
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import called

NOBODY = "No person checked the labels."


@pytest.fixture
def run_path(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "a"))


def correct(run_path: Path, label: int) -> str:
    """Give one image one square as its labels, or none where ``label`` is 0; its key."""
    key = next(samples_of(run_path, 0.1).samples()).key
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[4:20, 4:20] = label
    (run_path.parent / "masks").mkdir()
    Image.fromarray(mask).save(run_path.parent / "masks" / f"{key}.png")
    assert import_job(run_path, run_path.parent / "masks").fixed == [key]
    return key


def test_corrected_samples_say_so_and_others_are_not_said_to_be_checked(run_path):
    before = json.loads((run_path / "export" / "coco" / "annotations" / "instances_train.json").read_text())
    assert NOBODY in before["info"]["description"] and not any("corrected" in image for image in before["images"])
    key = correct(run_path, 1)
    export_job(run_path, "coco,hf,parquet", run_path.parent / "out", 0.0)
    out = run_path.parent / "out"
    coco = json.loads((out / "coco" / "annotations" / "instances_train.json").read_text())
    assert [image["file_name"] for image in coco["images"] if image.get("corrected")] == [f"{key}.png"]
    assert NOBODY not in coco["info"]["description"] and "nobody checked the others" in coco["info"]["description"]
    rows = [json.loads(line) for line in (out / "hf" / "train" / "metadata.jsonl").read_text().splitlines()]
    table = pq.read_table(out / "parquet" / "data").to_pylist()
    for found in (rows, table):
        assert {row["key"]: row["corrected"] for row in found} == {row["key"]: row["key"] == key for row in found}
    for format in ("hf", "parquet"):
        assert NOBODY not in (out / format / "README.md").read_text()


def test_images_without_objects_are_kept_as_negatives_in_every_format(run_path):
    key = correct(run_path, 0)
    assert key not in {item.key for item in samples_of(run_path, 0.1).samples()}
    few = sum(export_job(run_path, "coco", run_path.parent / "few", 0.5)[0].images.values())
    summaries = export_job(run_path, ",".join(FORMATS), None, 0.5, redo=True, options=ExportOptions(keep_empty=True))
    assert {sum(item.images.values()) for item in summaries} == {few + 1}
    assert samples_of(run_path, 0.5, keep_empty=True).count() == few + 1
    for format in FORMATS:
        found = verify_path(run_path / "export" / format, Silent())
        assert (found.faults, found.notes) == ([], []), format
    mask = next((run_path / "export" / "png" / "ann_dir").glob(f"*/{key}.png"))
    assert not decode_index_png(mask.read_bytes()).any()
    for format in ("coco", "png", "voc", "cvat"):
        summary = import_job(run_path, run_path / "export" / format)
        assert summary.unchanged == summary.read == few + 1


@pytest.mark.parametrize(("share", "says"), [("0.0001", "the val split is empty"), ("0.9999", "the train split is")])
def test_an_empty_split_says_so_and_names_the_flag(run_path, share, says):
    done = called("export", "a", "--format", "png", "--out", "d", "--val-share", share, cwd=run_path.parent)
    assert done.returncode == 0 and says in done.stdout and f"--val-share {share}" in done.stdout
    done = called("export", "a", "--format", "png", "--out", "e", "--val-share", "0", cwd=run_path.parent)
    assert "split is empty" not in done.stdout
