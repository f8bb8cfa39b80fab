"""Labelled sets become runs, and all that a run can do works on them."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK
from tests.command import called, tree
from tests.formats.scenes import CLASSES, COUNT, keys_of, labels, sample, write
from tests.stages.splice.runs import labelled_run


def adopt(*arguments: object, cwd: Path, code: int = 0):
    done = called("adopt", *map(str, arguments), cwd=cwd)
    assert done.returncode == code, done.stderr
    return done


def records(path: Path) -> dict[str, object]:
    """The records of an adopted run by what the set called them, without folders and extension."""
    run = Run.open(path)
    found = (record for spec in run.shards() for record in run.reader("adopt", spec).records())
    return {Path(record.row["source"]).stem: record for record in found}


@pytest.mark.parametrize("format", ["coco", "voc", "png", "yolo", "parquet"])
def test_labels_of_an_export_come_back_as_they_were(tmp_path, format):
    write(format, tmp_path / "set")
    adopt("set", "--out", "a", "--shard-size", "5", cwd=tmp_path)
    assert [item.name for item in Run.open(tmp_path / "a").manifest.classes] == [*CLASSES]
    found = records(tmp_path / "a")
    assert len(found) == COUNT
    for number in (0, 7):
        record, (mask, instances) = found[sample(number).key], labels(number)
        adopted = decode_index_png(record.files[MASK])
        if format in ("voc", "png", "parquet"):  # the others have no void
            assert np.array_equal(adopted, mask)
        elif format == "coco":
            assert np.array_equal(adopted, np.where(mask == 255, 0, mask))
        else:
            assert np.mean(adopted != np.where(mask == 255, 0, mask)) < 0.05  # outlines of YOLO join a ring's two
        if format in ("voc", "coco", "parquet"):
            objects = decode_index_png(record.files[INSTANCES])
            assert len({*np.unique(objects)} - {0, 255}) == 3
            assert np.unique(objects[instances == 1]).size == 1
        if format not in ("voc", "png"):  # these hold JPEGs
            assert np.array_equal(decode_rgb_png(record.files[IMAGE]), decode_rgb_png(sample(number).image_png))
        assert record.row["split"] == ("val" if record.key and sample(number).key in keys_of("val") else "train")
        assert record.row["origin"] == ("synthetic" if format in ("coco", "parquet") else "real")


@pytest.mark.long
def test_a_set_goes_all_the_way(tmp_path):
    """Splits of the source hold through filter, splice and export; files and their marks come along."""
    _street(tmp_path / "set", 24)
    done = adopt("set", "--out", "a", "--shard-size", "8", cwd=tmp_path)
    assert "pocket" not in done.stdout + done.stderr
    settings = ["--set", "filter.folds=2", "--set", "filter.segment.steps=2", "--set", "filter.segment.side=32",
                "--set", "filter.keep=1.0", "--set", "filter.min_area=0", "--set", "filter.max_area=1",
                "--set", "filter.duplicate_distance=0"]  # fmt: skip
    assert called("filter", "a", *settings, cwd=tmp_path).returncode == 0
    splice = called("splice", "a", "--num", "6", "--set", "splice.mix={1x2: 1}", cwd=tmp_path)
    assert splice.returncode == 0, splice.stderr
    verified = called("verify", "a", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout
    assert called("report", "a", cwd=tmp_path).returncode == 0
    assert "Given images with their labels" in (tmp_path / "a" / "report.html").read_text()
    exported = called("export", "a", "--format", "coco", "--out", "out", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    found = {}
    for split in ("train", "val"):
        content = json.loads((tmp_path / "out" / "annotations" / f"instances_{split}.json").read_text())
        assert "adopted" in content["info"]["description"] and "attention" not in content["info"]["description"]
        found[split] = content["images"]
    own = {one["source"]: split for split, images in found.items() for one in images if one.get("origin")}
    assert own == {f"images/{split}/{n}.png": split for split, n in _numbers(24)}
    assert all(one["origin"] == "real" for images in found.values() for one in images if "sources" not in one)
    composed = [one for images in found.values() for one in images if "sources" in one]
    val = {f"{place:08d}" for place, (split, _) in enumerate(_ordered(24)) if split == "val"}
    assert len(composed) == 6 and not {key for one in composed for key in one["sources"]} & val
    kept = next((tmp_path / "out" / "images").rglob("0.png")).read_bytes()
    assert kept == (tmp_path / "set" / "images" / "train" / "0.png").read_bytes()
    papers = (tmp_path / "out" / "README.md").read_text("utf-8") + (tmp_path / "out" / "croissant.json").read_text(
        "utf-8"
    )
    assert "pocket" not in papers and "under terms of their own" in papers
    with open(tmp_path / "out" / "provenance.csv", newline="", encoding="utf-8") as file:
        media = {(bool(row["parents"]), row["digital_source_type"]) for row in csv.DictReader(file)}
    assert media == {(False, ""), (True, "compositeCapture")}


def test_killed_or_with_workers_or_given_again_the_bytes_are_the_same(tmp_path):
    _street(tmp_path / "set", 8)
    adopt("set", "--out", "a", "--shard-size", "2", cwd=tmp_path)
    before = tree(tmp_path / "a")
    (tmp_path / "a" / "adopt" / "00001.parquet").unlink()
    adopt("set", "--out", "a", "--workers", "2", cwd=tmp_path)
    assert tree(tmp_path / "a") == before
    (tmp_path / "a" / "adopt" / "00002.tar").unlink()
    assert called("verify", "a", "--repair", cwd=tmp_path).returncode in (0, 3)
    assert tree(tmp_path / "a") == before


def test_runs_are_joined_with_their_lineage(tmp_path):
    labelled_run(tmp_path / "a", 3)
    labelled_run(tmp_path / "b", 2, classes=("cat", "puppy"))
    adopt("a", "b", "--out", "all", "--map", "puppy=dog", cwd=tmp_path)
    run = Run.open(tmp_path / "all")
    assert [item.name for item in run.manifest.classes] == ["dog", "bird", "cat"]
    rows = [row for spec in run.shards() for row in run.reader("adopt", spec).rows]
    ends = [(row["source_run"], row["source_key"]) for row in (rows[0], rows[-1])]
    assert ends == [("a", "00000000"), ("b", "00000003")]
    assert {row["origin"] for row in rows} == {"synthetic"} and len({row["key"] for row in rows}) == 10
    assert rows[-1]["classes"] == ["dog"]
    card = called("export", "all", "--format", "coco", "--out", "out", cwd=tmp_path)
    assert card.returncode == 0, card.stderr
    text = (tmp_path / "out" / "annotations" / "instances_train.json").read_text()
    assert "Synthetic images" in text and '"source_run": "b"' in text


def test_classes_are_chosen_renamed_and_the_others_named(tmp_path):
    _street(tmp_path / "set", 6)
    done = adopt("set", "--out", "a", "--classes", "vehicle", "--map", "cars=vehicle", cwd=tmp_path)
    assert "without a class here count as background: tree" in done.stderr
    wrong = adopt("set", "--out", "b", "--map", "lorry=truck", cwd=tmp_path, code=2)
    assert "no source has the label 'lorry'; there are cars, tree" in wrong.stderr
    lacking = adopt("set", "--out", "b", "--classes", "zebra", cwd=tmp_path, code=2)
    assert "no source has a label for the class 'zebra'" in lacking.stderr
    assert not (tmp_path / "b").exists()


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path):
    folder = _street(tmp_path / "set", 8)
    content = json.loads((folder / "annotations" / "instances_train.json").read_text())
    gone = {"id": 901, "file_name": "gone.png", "width": 9, "height": 9}
    content["images"] += [{**content["images"][1], "id": 900}, gone]
    content["images"][2]["width"] = 70  # not its picture's size
    crowd = {"id": 99, "image_id": content["images"][0]["id"], "category_id": 3, "iscrowd": 1,
             "segmentation": {"size": [48, 64], "counts": [0, 48, 48 * 63]}}  # fmt: skip
    content["annotations"].append(crowd)
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))
    done = adopt("set", "--out", "a", cwd=tmp_path, code=3)
    assert "3 pictures could not be used" in done.stdout
    said = (tmp_path / "a" / "adopt" / "failures.csv").read_text()
    for text in ("is listed twice", "gone.png,failed,its picture is not there", "its labels have 70 × 48 pixels"):
        assert text in said
    first = records(tmp_path / "a")["0"]
    assert np.all(decode_index_png(first.files[MASK])[40:, 0] == 255)  # a crowd is ignored


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is not there"),
        (lambda path: path.mkdir(), "holds no labelled set that is read here"),
        (lambda path: _json(path, "{"), "is no JSON at byte"),
        (lambda path: _json(path, '{"images": [], "annotations": []}'), "has no list of categories"),
        (lambda path: _json(path, '{"images": [], "annotations": [], "categories": [{"name": "dog"}]}'), "no image in"),
        (lambda path: _masks(path), "does not name its labels: say them with --classes"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_used_is_one_line(tmp_path, make, said):
    make(tmp_path / "set")
    done = adopt("set", "--out", "a", cwd=tmp_path, code=2)
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_a_run_is_no_source_of_itself_and_takes_no_drawn_images(tmp_path):
    _street(tmp_path / "set", 4)
    adopt("set", "--out", "a", cwd=tmp_path)
    assert "is the run itself" in adopt("a", "--out", "a", cwd=tmp_path, code=2).stderr
    drawn = called("generate", "--out", "a", "--num", "2", cwd=tmp_path)
    assert drawn.returncode == 2 and "holds images that adopt made" in drawn.stderr
    refined = called("refine", "a", cwd=tmp_path)
    assert refined.returncode == 2 and "no attention maps to refine" in refined.stderr


def test_more_images_may_come_later_and_changed_labels_are_refused(tmp_path):
    folder = _street(tmp_path / "set", 4)
    adopt("set", "--out", "a", "--shard-size", "2", cwd=tmp_path)
    before = tree(tmp_path / "a" / "adopt")
    shutil.rmtree(folder)
    _street(folder, 6)
    adopt("set", "--out", "a", cwd=tmp_path)
    after = tree(tmp_path / "a" / "adopt")
    assert Run.open(tmp_path / "a").total == 6 and before.items() <= after.items()
    content = (folder / "annotations" / "instances_val.json").read_text()
    (folder / "annotations" / "instances_val.json").write_text(content.replace('"iscrowd": 0', '"iscrowd": 1', 1))
    assert "has other labels than when the run was begun" in adopt("set", "--out", "a", cwd=tmp_path, code=2).stderr
    adopt("set", "--out", "a", "--redo", cwd=tmp_path)


def test_masks_of_two_values_and_resplit(tmp_path):
    _masks(tmp_path / "set")
    adopt("set", "--out", "a", "--classes", "scratch", "--resplit", cwd=tmp_path)
    found = records(tmp_path / "a")
    assert {record.row["split"] for record in found.values()} == {""}
    assert found["1"].row["reason"] == "shows none of scratch" and found["0"].row["classes"] == ["scratch"]
    done = called("export", "a", "--format", "coco", "--keep-empty", "--val-share", "0", cwd=tmp_path)
    assert "2 train" in done.stdout


def test_a_picture_turned_by_its_exif_keeps_its_labels(tmp_path):
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:10, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(folder / "images" / "a.png", exif=exif)
    Image.fromarray(stored[:, :, 0]).save(folder / "masks" / "a.png")
    adopt("set", "--out", "a", "--classes", "sign", cwd=tmp_path)
    record = records(tmp_path / "a")["a"]
    image, mask = decode_rgb_png(record.files[IMAGE]), decode_index_png(record.files[MASK])
    assert image.shape == (60, 40, 3) and np.array_equal(image[:, :, 0] > 0, mask == 1)


def _numbers(count: int) -> list[tuple[str, int]]:
    return [("val" if number % 4 == 3 else "train", number) for number in range(count)]


def _ordered(count: int) -> list[tuple[str, int]]:
    """In the order in which COCO files are read: train comes before val."""
    return sorted(_numbers(count), key=lambda item: item[0])


def _street(folder: Path, count: int) -> Path:
    """A COCO set with a fixed split: cars, and trees in every other image."""
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
    (folder / "annotations").mkdir()
    files = {split: {"images": [], "annotations": []} for split in ("train", "val")}
    for split, number in _numbers(count):
        pixels = np.random.default_rng(number).integers(0, 90, (48, 64, 3), dtype=np.uint8)
        pixels[10:30, 10:40] = (200, 30, 30)
        Image.fromarray(pixels).save(folder / "images" / split / f"{number}.png")
        file = files[split]
        file["images"].append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 48})
        boxes = [(3, (10, 10, 40, 30))] + ([(7, (45, 5, 60, 40))] if number % 2 else [])
        for category, (x0, y0, x1, y1) in boxes:
            file["annotations"].append({
                "id": len(file["annotations"]) + 1, "image_id": number, "category_id": category, "iscrowd": 0,
                "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            })  # fmt: skip
    for split, content in files.items():
        content["categories"] = [{"id": 3, "name": "cars"}, {"id": 7, "name": "tree"}]
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


def _json(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "all.json").write_text(text)


def _masks(folder: Path) -> None:
    """Two pictures with masks of 0 and 255, one of them without anything."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for number in range(2):
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(folder / "images" / f"{number}.jpg")
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 8:20] = 255 * (1 - number)
        Image.fromarray(mask).save(folder / "masks" / f"{number}_mask.png")
