"""What the formats without a reader among our dependencies hold, and what is particular to each."""

import io
import json
import subprocess
import tarfile
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from dsfactory.core.png import decode_index_png
from dsfactory.formats import FORMATS, export
from dsfactory.formats.parquet import write as parquet_module
from dsfactory.formats.webdataset import write as webdataset_module
from dsfactory.formats.writer import split_of
from tests.formats.scenes import CLASSES, HEIGHT, WIDTH, labels, sample, samples

COUNT = 12


def run(format, out, count=COUNT, val_share=0.3):
    return export(format, samples(count), CLASSES, out, fingerprint="f", model="pocket", val_share=val_share)


def keys_of(split):
    return [sample(n).key for n in range(COUNT) if split_of(sample(n).key, 0.3) == split]


@pytest.mark.parametrize("format", [name for name, writer in FORMATS.items() if writer.has_checksums])
def test_checksums_are_those_of_all_files(format, tmp_path):
    run(format, tmp_path / "d")
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "d")
    assert done.returncode == 0
    named = {line.split("  ", 1)[1] for line in (tmp_path / "d" / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(tmp_path / "d").as_posix() for path in (tmp_path / "d").rglob("*") if path.is_file()}
    assert there - named == {"SHA256SUMS", "dsfactory.json"}


def test_yolo_names_no_place_and_counts_classes_from_0(tmp_path):
    run("yolo", tmp_path / "d")
    content = yaml.safe_load((tmp_path / "d" / "data.yaml").read_text(encoding="utf-8"))
    assert content == {"train": "images/train", "val": "images/val", "names": {0: "dog", 1: "crème brûlée"}}
    for split in ("train", "val"):
        images, lists = (sorted((tmp_path / "d" / kind / split).iterdir()) for kind in ("images", "labels"))
        assert [path.stem for path in images] == [path.stem for path in lists] == keys_of(split)
        for path in lists:
            mask, instances = labels(int(path.stem))
            lines = path.read_text().splitlines()
            assert [int(line.split()[0]) for line in lines] == [mask[instances == n].max() - 1 for n in (1, 2, 3)]


def test_pairs_hold_plain_ids(tmp_path):
    run("png", tmp_path / "d")
    for split in ("train", "val"):
        assert [path.stem for path in sorted((tmp_path / "d" / "img_dir" / split).iterdir())] == keys_of(split)
        for path in (tmp_path / "d" / "ann_dir" / split).iterdir():
            with Image.open(path) as image:
                assert image.mode == "L"
                assert np.array_equal(np.array(image), labels(int(path.stem))[0])
    metainfo = json.loads((tmp_path / "d" / "metainfo.json").read_text(encoding="utf-8"))
    assert metainfo["classes"] == ["background", *CLASSES]
    assert metainfo["palette"] == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]


def test_image_folder_names_its_files_from_the_folder_of_its_table(tmp_path):
    run("hf", tmp_path / "d")
    for split, folder in (("train", "train"), ("val", "validation")):
        top = tmp_path / "d" / folder
        rows = [json.loads(line) for line in (top / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [row["key"] for row in rows] == keys_of(split)
        for row in rows:
            number = int(row["key"])
            mask, instances = labels(number)
            assert Image.open(top / row["file_name"]).size == (WIDTH, HEIGHT) == (row["width"], row["height"])
            assert np.array_equal(decode_index_png((top / row["mask_file_name"]).read_bytes()), mask)
            assert np.array_equal(decode_index_png((top / row["instances_file_name"]).read_bytes()), instances)
            assert row["prompt"] == f"a dog, {number}" and row["image_seed"] == 2**60 + number
            assert row["classes"] == list(CLASSES)
            assert row["objects"]["id"] == [1, 2, 3]
            assert row["objects"]["category"] == [1 + number % 2, 2, 1]
            assert row["objects"]["area"] == [int((instances == n).sum()) for n in (1, 2, 3)]
    card = (tmp_path / "d" / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["task_categories"] == ["image-segmentation"]
    assert "| 2 | crème brûlée |" in card and "No person checked" in card


@pytest.mark.parametrize("format", ["hf", "parquet", "webdataset"])
def test_empty_split_is_not_there(format, tmp_path):
    assert run(format, tmp_path / "d", 3, val_share=0.0).images == {"train": 3, "val": 0}
    assert not list((tmp_path / "d").rglob("val*"))


def test_parquet_files_and_groups_are_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "ROWS_PER_FILE", 5)
    monkeypatch.setattr(parquet_module, "ROWS_PER_GROUP", 2)
    run("parquet", tmp_path / "d", val_share=0.0)
    files = sorted((tmp_path / "d" / "data").iterdir())
    assert [path.name for path in files] == [f"train-{n:05d}.parquet" for n in range(3)]
    assert [pq.read_metadata(path).num_rows for path in files] == [5, 5, 2]
    assert [pq.read_metadata(path).num_row_groups for path in files] == [3, 3, 1]
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    assert [row["key"] for row in rows] == [sample(n).key for n in range(COUNT)]
    assert rows[3]["mask"] == {"bytes": sample(3).mask_png, "path": "00000003.png"}
    features = json.loads(pq.read_schema(files[0]).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["objects"]["category"][0]["names"] == ["background", *CLASSES]


def test_tars_hold_whole_samples_and_a_bounded_number(tmp_path, monkeypatch):
    monkeypatch.setattr(webdataset_module, "SAMPLES_PER_TAR", 5)
    run("webdataset", tmp_path / "d", val_share=0.0)
    content = json.loads((tmp_path / "d" / "dataset.json").read_text(encoding="utf-8"))
    assert content["samples"] == {"train-000000.tar": 5, "train-000001.tar": 5, "train-000002.tar": 2}
    assert content["classes"] == {"0": "background", "1": "dog", "2": "crème brûlée", "255": "void"}
    with tarfile.open(tmp_path / "d" / "train-000001.tar") as tar:
        names = tar.getnames()
        assert names[:4] == [f"00000005.{end}" for end in ("png", "mask.png", "instances.png", "json")]
        row = json.load(tar.extractfile("00000006.json"))
        mask = np.array(Image.open(io.BytesIO(tar.extractfile("00000006.mask.png").read())))
    assert row["key"] == "00000006" and np.array_equal(mask, labels(6)[0])


def test_cvat_masks_are_runs_within_their_box(tmp_path):
    run("cvat", tmp_path / "d")
    root = ElementTree.parse(tmp_path / "d" / "annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    names = [item.findtext("name") for item in root.iter("label")]
    assert names == ["dog", "crème brûlée", "void"]
    listed = json.loads((tmp_path / "d" / "labels.json").read_text(encoding="utf-8"))
    assert [item["name"] for item in listed] == names and listed[0]["color"] == "#800000"
    for number, image in enumerate(root.iter("image")):
        assert image.attrib["name"] == f"{number:08d}.png" and image.attrib["id"] == str(number)
        assert (tmp_path / "d" / "images" / image.attrib["name"]).read_bytes() == sample(number).image_png
        mask, instances = labels(number)
        drawn = np.zeros_like(mask)
        for shape in image.iter("mask"):
            left, top, width, height = (int(shape.attrib[name]) for name in ("left", "top", "width", "height"))
            runs = [int(value) for value in shape.attrib["rle"].split(",")]
            flat = [bit for position, run in enumerate(runs) for bit in [position % 2] * run]
            window = np.array(flat, dtype=bool).reshape(height, width)
            value = 255 if shape.attrib["label"] == "void" else CLASSES.index(shape.attrib["label"]) + 1
            drawn[top : top + height, left : left + width][window] = value
        assert np.array_equal(drawn, mask)
        assert len(list(image.iter("mask"))) == 1 + len(np.unique(instances[(instances > 0) & (instances < 255)]))
