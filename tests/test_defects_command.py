"""``dsfactory defects`` as a user meets it."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dsfactory.core.png import decode_rgb_png
from tests.command import called, tree
from tests.stages.defects.test_paint import part

KINDS = ["--kinds", "scratch,stain,chip"]


def rows(run: Path) -> list[dict]:
    return [row for path in sorted((run / "defects").glob("0*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of seven pictures, one of 16 bits and one broken. Not to be changed."""
    folder = tmp_path_factory.mktemp("defects")
    (folder / "clean/line").mkdir(parents=True)
    for number in range(5):
        Image.fromarray(part(colour=True) + np.uint8(number)).save(folder / f"clean/line/{number}.png")
    cv2.imwrite(str(folder / "clean/xray.png"), part(np.uint16))
    (folder / "clean/broken.png").write_bytes(b"no image")
    done = called(
        "defects", "clean", *KINDS, "--out", "a", "--format", "mvtec,coco,voc", "--val-share", "0.6", cwd=folder
    )
    assert done.returncode == 3, done.stderr
    assert "broken.png cannot be used" in done.stderr
    return folder


def test_samples_have_flaws_or_none_and_the_run_verifies(folder):
    found = [row for row in rows(folder / "a") if row["status"] == "ok"]
    assert len(found) == 24 and {row["class_name"] for row in found} == {"scratch", "stain", "chip"}
    clean = [row for row in found if not row["area"][0]]
    assert 4 < len(clean) < 20 and {row["reason"] for row in clean} == {"clean"}
    assert called("verify", "a", cwd=folder).returncode == 0
    for name in ("mvtec", "coco", "voc"):
        assert called("verify", f"a/export/{name}", cwd=folder).returncode == 0


def test_an_export_names_no_model_for_what_no_model_made(folder):
    export = folder / "a/export/coco"
    for paper in ("README.md", "croissant.json"):
        assert "pocket" not in (export / paper).read_text("utf-8")
    with open(export / "provenance.csv", newline="", encoding="utf-8") as file:
        said = {row["key"]: row["digital_source_type"] for row in csv.DictReader(file)}
    found = [row for row in rows(folder / "a") if row["status"] == "ok"]
    assert said == {row["key"]: "compositeCapture" if row["area"][0] else "" for row in found}


def test_pictures_of_16_bits_keep_them_and_all_can_be_seen(folder):
    (number,) = {row["number"] // 4 for row in rows(folder / "a") if row["source"] == "xray.png"}
    images = [*(folder / "a/export/coco").rglob(f"{4 * number:08d}.png")]
    deep = cv2.imread(str(images[0]), cv2.IMREAD_UNCHANGED)
    assert deep.dtype == np.uint16 and deep.ndim == 2 and deep.max() > 255
    shown = decode_rgb_png(images[0].read_bytes())
    assert shown.dtype == np.uint8 and 180 < shown[2, 2, 0] < 240


def test_the_mvtec_layout_has_a_mask_for_each_flaw(folder):
    top = folder / "a/export/mvtec"
    flaws = [path for path in (top / "test").rglob("*.png") if path.parent.name != "good"]
    masks = [*(top / "ground_truth").rglob("*_mask.png")]
    assert len(flaws) == len(masks) == sum(row["area"] is not None and row["area"][0] > 0 for row in rows(folder / "a"))
    for path in flaws:
        mask = np.asarray(Image.open(top / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"))
        assert {*np.unique(mask).tolist()} == {0, 255}
    assert [*(top / "train/good").glob("*.png")]


def test_copies_of_a_picture_are_on_one_side(folder):
    sides = {}
    for split in ("train", "val"):
        for line in (folder / f"a/export/voc/ImageSets/Segmentation/{split}.txt").read_text().split():
            sides.setdefault(int(line) // 4, set()).add(split)
    assert len(sides) == 6 and all(len(found) == 1 for found in sides.values())
    assert {*map(str, sides.values())} == {"{'train'}", "{'val'}"}


def test_workers_and_shard_size_change_no_sample_and_more_pictures_only_add(folder, tmp_path):
    done = called(
        "defects", str(folder / "clean"), *KINDS, "--out", "b", "--shard-size", "5", "--workers", "2", cwd=tmp_path
    )
    assert done.returncode == 3, done.stderr
    assert rows(tmp_path / "b") == rows(folder / "a")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["clean"], "--kinds scratch,stain,crack,dent"),
        (["nowhere", *KINDS], "nowhere is not there"),
        (["clean", *KINDS, "--where", "nowhere"], "use auto, all, or a folder"),
        (["clean", *KINDS, "--strength", "0.9,0.1"], "the smaller one first"),
        ([*KINDS], "name their folder"),
        (["clean", "--kinds", "hole", "--out", "a"], "name another --out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, arguments, says):
    before = tree(folder)
    done = called("defects", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert tree(folder) == before
