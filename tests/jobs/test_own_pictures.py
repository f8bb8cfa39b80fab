"""Exports of somebody's own pictures bear their names, their sizes and their bytes."""

import csv
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dsfactory as ds
from dsfactory.formats import FORMATS
from dsfactory.jobs.corrections import import_job
from dsfactory.jobs.export import ExportOptions, export_job
from dsfactory.jobs.samples import samples_of
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import called, tree

LARGE = (160, 120)


@pytest.fixture(scope="module")
def brought(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``in`` and its run ``out``: four pictures, one turned by EXIF, one larger than what is labelled."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, size, settings in (
        ("IMG_1.JPG", (72, 56), {"format": "JPEG", "exif": turned}), ("IMG_1.png", (64, 64), {}),
        ("sub/IMG.1.webp", (64, 48), {"lossless": True}), ("sub/large.png", LARGE, {}),
    ):  # fmt: skip
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "in" / name, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsfactory.dataset.pictures.look_at.__defaults__", (10_000,))
        fast = [
            "--timesteps",
            "200",
            "--seeds",
            "1",
            "--min-presence",
            "off",
            "--shard-size",
            "2",
        ]
        done = called(
            "annotate", "in", "--classes", "dog", "--out", "out", "--model", str(tiny_model), *fast, cwd=folder
        )
    assert done.returncode == 0, done.stderr
    assert "pictures of one name are told apart: IMG_1.png is IMG_1-png" in done.stdout
    yield folder


def objects(folder: Path) -> dict[str, tuple[int, int]]:
    """Names of the images of a COCO export with their sizes."""
    files = [json.loads(path.read_text()) for path in sorted((folder / "annotations").glob("*.json"))]
    return {image["file_name"]: (image["width"], image["height"]) for file in files for image in file["images"]}


def own(brought: Path) -> dict[str, bytes]:
    return tree(brought / "in")


def test_coco_has_the_files_as_they_are_and_masks_in_their_size(brought: Path) -> None:
    coco = brought / "out/export/coco"
    expected = {"IMG_1.JPG": (56, 72), "IMG_1-png.png": (64, 64), "sub/IMG.1.webp": (64, 48), "sub/large.png": LARGE}
    assert objects(coco) == expected
    files = {name.split("/", 2)[2]: data for name, data in tree(coco).items() if name.startswith("images/")}
    assert files == {name.replace("IMG_1.png", "IMG_1-png.png"): data for name, data in own(brought).items()}
    table = list(csv.DictReader(io.StringIO((coco / "files.csv").read_text())))
    assert [row["file"] for row in table] == sorted(own(brought))
    found = verify_path(coco, Silent())
    assert (found.faults, found.notes) == ([], [])


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_format_says_which_file_a_sample_was(format: str, brought: Path, tmp_path: Path) -> None:
    export_job(brought / "out", format, tmp_path / format, 0.0)
    files = tree(tmp_path / format)
    if format not in ("hf", "parquet", "webdataset"):
        assert [line.split(",")[1] for line in files["files.csv"].decode().split()[1:]] == sorted(own(brought))
    if format == "hf":
        table = [json.loads(line) for line in files["train/metadata.jsonl"].decode().splitlines()]
        assert [row["file"] for row in table] == sorted(own(brought)) and table[0]["file_name"] == "images/IMG_1.JPG"
    names = {str(Path(name).with_suffix("")).split("/", 2)[-1] for name in files}
    if format in ("voc", "png", "cvat", "yolo", "coco"):
        stem = "sub/IMG.1" if format not in ("voc", "cvat") else "IMG.1"
        assert stem in names and not {"00000002", "train/00000002"} & names
    if format == "voc":
        assert files["ImageSets/Main/train.txt"].decode().splitlines() == [
            "IMG_1",
            "IMG_1-png",
            "sub/IMG.1",
            "sub/large",
        ]
        assert files["JPEGImages/IMG_1.jpg"] == own(brought)["IMG_1.JPG"]
        with Image.open(io.BytesIO(files["JPEGImages/sub/large.jpg"])) as image:
            assert image.size == LARGE
    if format == "parquet":
        rows = pq.read_table(tmp_path / format / "data/train-00000.parquet").to_pylist()
        assert {row["file"]: row["image"]["bytes"] for row in rows} == own(brought)
        assert [(row["width"], row["height"]) for row in rows][-1] == LARGE
    if format == "webdataset":
        with tarfile.open(tmp_path / format / "train-000000.tar") as tar:
            assert {"IMG_1.jpg", "IMG_1-png.png", "sub/IMG_1-00000002.png", "sub/large.mask.png"} <= {*tar.getnames()}
            assert tar.extractfile("IMG_1.jpg").read() == own(brought)["IMG_1.JPG"]  # type: ignore[union-attr]
    assert verify_path(tmp_path / format, Silent()).faults == []


def test_files_are_linked_to_or_left_where_they_are(brought: Path, tmp_path: Path) -> None:
    export_job(brought / "out", "coco", tmp_path / "link", 0.0, options=ExportOptions(copy="link"))
    link = tmp_path / "link/images/train/sub/large.png"
    assert link.is_symlink() and link.resolve() == brought / "in/sub/large.png"
    export_job(brought / "out", "coco,voc", tmp_path / "none", 0.0, options=ExportOptions(copy="none"))
    assert list(objects(tmp_path / "none/coco")) == sorted(own(brought))
    assert not any((tmp_path / "none/coco/images/train").iterdir())
    for place in ("link", "none/coco", "none/voc"):
        assert verify_path(tmp_path / place, Silent()).faults == []
    refused = called("export", "out", "--format", "parquet", "--copy", "link", "--out", "x", cwd=brought)
    assert refused.returncode == 2 and "parquet holds its images: use --copy copy" in refused.stderr


def test_what_is_gone_or_has_changed_is_said_and_the_runs_copy_taken(brought: Path, tmp_path: Path) -> None:
    before = own(brought)
    try:
        (brought / "in/sub/large.png").unlink()
        (brought / "in/IMG_1.png").write_bytes(before["IMG_1.JPG"])
        done = called("export", "out", "--out", str(tmp_path / "coco"), cwd=brought)
        assert "of what is gone or has changed: IMG_1.png and 1 more" in done.stdout
        assert objects(tmp_path / "coco")["sub/large.png"][0] < LARGE[0]
    finally:
        for name in ("sub/large.png", "IMG_1.png"):
            (brought / "in" / name).write_bytes(before[name])


def test_labels_come_back_by_the_names_of_the_files(brought: Path, tmp_path: Path) -> None:
    for format in ("coco", "cvat", "voc", "png"):
        export_job(brought / "out", format, tmp_path / format, 0.0)
        summary = import_job(brought / "out", tmp_path / format, format, dry_run=True)
        assert (summary.read, summary.refused) == (4, {}), format
        assert summary.unchanged + len(summary.fixed) == summary.read and summary.fixed in ([], ["00000003"]), format


def test_images_of_one_extension_are_converted_where_that_is_asked_for(brought: Path, tmp_path: Path) -> None:
    ds.export(brought / "out", "coco", tmp_path / "a", val_share=0.0)
    export_job(brought / "out", "coco", tmp_path / "b", 0.0, options=ExportOptions(image_format="png"))
    assert list(objects(tmp_path / "b")) == ["IMG_1.png", "IMG_1-png.png", "sub/IMG.1.png", "sub/large.png"]
    assert verify_path(tmp_path / "b", Silent()).faults == []
    with Image.open(tmp_path / "b/images/train/IMG_1.png") as image:
        assert image.size == (56, 72)
    assert samples_of(brought / "out", 0.0).count() == 4
