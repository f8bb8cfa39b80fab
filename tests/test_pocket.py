"""The main job with the bundled model: what the README promises a newcomer."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from dsfactory.core.run import Run
from dsfactory.stages import RunConfig
from tests.command import called, command, tree

TOLERANCE = 2
"""Levels of 255 by which a pixel may differ when it is drawn in a batch of another size."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Dogs and birds by the bundled model, through the whole chain, with the README's commands."""
    folder = tmp_path_factory.mktemp("pocket")
    for line in (
        ["generate", "--classes", "dog,bird", "--num", "6", "--out", "runs/a"],
        ["refine", "runs/a"],
        ["export", "runs/a", "--format", "coco"],
        ["export", "runs/a", "--format", "voc"],
    ):
        done = called(*line, cwd=folder)
        assert done.returncode == 0, done.stderr
        if line[0] == "generate":
            assert "drawn by pocket" in done.stdout and "--model sd15" in done.stdout
    return folder / "runs" / "a"


def rows(run: Path, stage: str) -> list[dict]:
    opened = Run.open(run)
    return [row for spec in opened.shards() for row in opened.reader(stage, spec).rows]


def test_nearly_every_image_has_a_mask(run):
    kept = rows(run, "refine")
    assert len(kept) == 12
    assert sum(row["area"][0] > 0 for row in kept) >= 0.9 * len(kept)
    assert 0.02 < np.median([row["area"][0] for row in kept]) < 0.7


def test_every_row_tells_where_its_prompt_came_from(run):
    for row in rows(run, "refine"):
        assert row["model"] == "pocket"
        assert row["class_name"] in ("dog", "bird")
        assert row["source"].split(":")[0] in ("coco-val2017", "subclass", "template")


def test_evidence_is_small(run):
    opened = Run.open(run)
    for record in opened.reader("generate", opened.shards()[0]).records():
        assert len(record.files["evidence.safetensors"]) <= 32 * 1024


def test_pycocotools_loads_the_coco_export(run):
    exported = run / "export" / "coco"
    parts = [COCO(exported / "annotations" / f"instances_{split}.json") for split in ("train", "val")]
    assert all([item["name"] for item in part.loadCats(part.getCatIds())] == ["dog", "bird"] for part in parts)
    assert sum(len(part.getImgIds()) for part in parts) == sum(row["status"] == "ok" for row in rows(run, "refine"))
    for part in parts:
        for annotation in part.loadAnns(part.getAnnIds()):
            assert part.annToMask(annotation).sum() == pytest.approx(annotation["area"], rel=0.05, abs=4)


def test_pil_loads_the_voc_export(run):
    exported = run / "export" / "voc"
    names = (exported / "ImageSets" / "Segmentation" / "trainval.txt").read_text().split()
    assert names
    for name in names:
        with Image.open(exported / "SegmentationClass" / f"{name}.png") as mask:
            assert mask.mode == "P"
            assert set(np.unique(np.asarray(mask))) <= {0, 1, 2, 255}
            with Image.open(exported / "JPEGImages" / f"{name}.jpg") as image:
                assert image.size == mask.size


def images(run: Path) -> dict[str, np.ndarray]:
    opened = Run.open(run)
    return {
        record.key: np.asarray(Image.open(io.BytesIO(record.files["image.png"]))).astype(int)
        for spec in opened.shards()
        for record in opened.reader("generate", spec).records()
    }


@pytest.mark.long
@pytest.mark.parametrize("flags", [["--batch-size", "1"], ["--batch-size", "3", "--shard-size", "3"]])
def test_batches_and_shards_of_another_size_draw_the_same_images(run, tmp_path, flags):
    line = ["generate", "--classes", "dog,bird", "--num", "2", "--out", "b", *flags]
    assert called(*line, cwd=tmp_path).returncode == 0
    others = images(tmp_path / "b")
    for key, image in images(run).items():
        if key in others:
            assert np.abs(image - others[key]).max() <= TOLERANCE


@pytest.mark.long
def test_the_same_command_gives_the_same_bytes(run, tmp_path):
    line = ["generate", "--classes", "dog,bird", "--num", "6", "--out", "again"]
    assert command(*line, cwd=tmp_path, fresh=True).returncode == 0
    once = {path: data for path, data in tree(run).items() if path.split("/")[0] in ("prompts", "generate", "run.json")}
    again = tree(tmp_path / "again")
    assert {path: again[path] for path in once} == once


def test_the_saved_config_is_complete_and_valid(run):
    config = RunConfig.read(run / "config.yaml")
    assert [item.name for item in config.classes] == ["dog", "bird"]
    assert config.generate.model == "pocket"


def test_a_class_that_the_model_never_learnt_is_said_before_drawing(tmp_path):
    line = ["generate", "--classes", "kitten,airplane,zebra", "--num", "1", "--out", "a", "--steps", "1"]
    done = called(*line, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    assert "pocket never learnt zebra (it knows aeroplane" in done.stderr


def test_status_of_a_finished_run(run):
    found = json.loads(called("status", str(run), "--json", cwd=run).stdout)
    assert [stage["samples"] for stage in found["stages"]] == [12, 12, 12]
    assert found["exports"] == ["coco", "voc"]
