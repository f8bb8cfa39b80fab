"""``dsfactory annotate`` as a user calls it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from tests.command import called, tree


def draw(path: Path, seed: int, size: tuple[int, int] = (72, 56)) -> None:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)


def annotate(model: Path, *arguments: str, cwd: Path) -> Any:
    fast = ["--timesteps", "200", "--seeds", "1", "--shard-size", "2"]
    return called("annotate", *arguments, "--model", str(model), *fast, cwd=cwd)


def rows(run: Path, stage: str) -> list[dict[str, Any]]:
    return [row for path in sorted((run / stage).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.long
def test_a_folder_of_pictures_becomes_a_run_and_a_dataset(tiny_model: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png", 1)
    draw(tmp_path / "in" / "sub" / "a.png", 2, (200, 120))
    draw(tmp_path / "in" / "ü 図.png", 3)
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "in" / "notes.txt").write_text("passed over")
    before = tree(tmp_path / "in")
    arguments = ["in", "--classes", "dog,bird", "--out", "out", "--min-presence", "off", "--format", "coco,voc"]
    done = annotate(tiny_model, *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    summary = json.loads(done.stdout)
    assert summary["stages"][0]["statuses"] == {"ok": 3, "failed": 1}
    assert summary["stages"][0]["reasons"] == {"not a picture, or of a kind that is not read here": 1}
    assert tree(tmp_path / "in") == before

    made = rows(tmp_path / "out", "generate")
    assert [row["source"] for row in made] == ["a.png", "bad.jpg", "sub/a.png", "ü 図.png"]
    assert [(row["width"], row["height"]) for row in made if row["status"] == "ok"] == [(72, 56), (200, 120), (72, 56)]
    assert made[0]["prompt"] == "a photo of a dog and a bird" and made[0]["classes"] == ["dog", "bird"]
    run = Run.open(tmp_path / "out")
    for record in [record for spec in run.shards() for record in run.reader("refine", spec).records()]:
        if record.row["status"] != "failed":
            assert decode_index_png(record.files["mask.png"]).shape == (record.row["height"], record.row["width"])

    coco = json.loads((tmp_path / "out/export/coco/annotations/instances_train.json").read_text())
    coco_val = json.loads((tmp_path / "out/export/coco/annotations/instances_val.json").read_text())
    listed = coco["images"] + coco_val["images"]
    assert {image["source"] for image in listed} <= {"a.png", "sub/a.png", "ü 図.png"} and listed
    assert all(image["file_name"] == image["source"] for image in listed)
    failures = (tmp_path / "out/generate/failures.csv").read_text().splitlines()
    assert failures == ["file,status,reason", 'bad.jpg,failed,"not a picture, or of a kind that is not read here"']
    assert "drawn" not in coco["info"]["description"]

    assert called("verify", "out", cwd=tmp_path).returncode == 0
    assert "generate  4 of 4 finished" in called("status", "out", cwd=tmp_path).stdout

    tree_before = tree(tmp_path / "out")
    again = annotate(tiny_model, *arguments, cwd=tmp_path)
    assert again.returncode == 3 and "nothing to do" in again.stdout
    assert tree(tmp_path / "out") == tree_before


@pytest.mark.long
def test_labels_do_not_depend_on_names_neighbours_or_shards(tiny_model: Path, tmp_path: Path) -> None:
    for number in range(3):
        draw(tmp_path / "in" / f"{number}.png", number)
    draw(tmp_path / "alone" / "other name.png", 2)
    common = ["--classes", "dog", "--min-presence", "off"]
    annotate(tiny_model, "in", *common, "--out", "all", cwd=tmp_path)
    annotate(tiny_model, "alone", *common, "--out", "one", cwd=tmp_path)
    files = []
    for name in ("all", "one"):
        run = Run.open(tmp_path / name)
        record = list(run.reader("generate", run.shards()[-1]).records())[-1]
        files.append((record.files, record.row["seed"], record.row["prompt"]))
    assert files[0] == files[1]


@pytest.mark.long
def test_pictures_that_are_added_are_labelled_by_the_same_command(tiny_model: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "m.png", 1)
    arguments = ["in", "--classes", "dog", "--min-presence", "off", "--out", "in/labels", "--json"]
    assert annotate(tiny_model, *arguments, cwd=tmp_path).returncode == 0
    draw(tmp_path / "in" / "a.png", 2)
    done = annotate(tiny_model, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert [(stage["samples"], stage["made"]) for stage in summary["stages"]] == [(2, 1), (2, 1)]
    assert sum(summary["exports"][0]["images"].values()) == 2
    assert [row["source"] for row in rows(tmp_path / "in/labels", "generate")] == ["m.png", "a.png"]


@pytest.mark.long
def test_classes_per_picture_are_taken_at_their_word(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        draw(tmp_path / "in" / f"{name}.png", ord(name))
    (tmp_path / "classes.csv").write_text("file,classes\na.png,bird\nb.png,\nc.png,dog;bird\n")
    arguments = ["in", "--classes", "dog,bird", "--image-classes", "classes.csv", "--out", "out"]
    done = annotate(tiny_model, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["classes"] for row in rows(tmp_path / "out", "generate")] == [["bird"], ["dog"], ["dog", "bird"]]
    empty = rows(tmp_path / "out", "refine")[1]
    assert empty["status"] == "rejected" and empty["area"] == [0.0]
    (tmp_path / "classes.csv").write_text("file,classes\na.png,dog\n")
    changed = annotate(tiny_model, *arguments, cwd=tmp_path)
    assert changed.returncode == 2 and "a.png was labelled as showing bird" in changed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not there"),
        (["empty"], "no picture in empty"),
        (["broken"], "none of the 2 pictures in broken can be read (a.jpg: not a picture"),
        (["in", "--timesteps", "100,2000"], "less than or equal to 999"),
        (["in", "--timesteps", "few"], "timesteps"),
        (["in", "--min-presence", "high"], "min_presence"),
        (["in", "--image-classes", "none.csv"], "none.csv cannot be read"),
        (["in", "--image-classes", "lost.csv"], "names x.jpg, which is not in in"),
        (["in", "--set", "annotate.prompt=a photo"], "must hold {classes} once"),
        (["in", "--format", "bmp"], "unknown format"),
        (["in", "--set", "annotate.seed=1"], "did you mean 'seeds'?"),
    ],
)
def test_input_that_cannot_be_used_is_named_and_nothing_is_written(
    arguments: list[str], message: str, tiny_model: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "in" / "a.png", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    for name in ("a.jpg", "b.png"):
        (tmp_path / "broken" / name).write_bytes(b"no picture")
    (tmp_path / "lost.csv").write_text("file,classes\nx.jpg,dog\n")
    common = ["--classes", "dog", "--model", str(tiny_model), "--out", "out"]
    done = called("annotate", *arguments, *common, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_drawn_run_and_a_labelled_one_are_not_mixed(tiny_model: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png", 1)
    drawing = ["--classes", "dog", "--num", "1", "--steps", "1", "--model", str(tiny_model)]
    assert called("generate", *drawing, "--out", "drawn", cwd=tmp_path).returncode == 0
    mixed = annotate(tiny_model, "in", "--classes", "dog", "--out", "drawn", cwd=tmp_path)
    assert mixed.returncode == 2 and "holds images that generate made: name another --out" in mixed.stderr
    assert (
        annotate(
            tiny_model, "in", "--classes", "dog", "--min-presence", "off", "--out", "given", cwd=tmp_path
        ).returncode
        == 0
    )
    other = called("generate", *drawing, "--out", "given", cwd=tmp_path)
    assert other.returncode == 2 and "holds images that annotate made: name another --out" in other.stderr


@pytest.mark.long
def test_a_broken_shard_is_made_again_from_the_pictures(tiny_model: Path, tmp_path: Path) -> None:
    for number in range(3):
        draw(tmp_path / "in" / f"{number}.png", number)
    annotate(tiny_model, "in", "--classes", "dog", "--min-presence", "off", "--out", "out", cwd=tmp_path)
    before = tree(tmp_path / "out")
    tar = tmp_path / "out/generate/00001.tar"
    os.truncate(tar, tar.stat().st_size // 2)
    assert called("verify", "out", cwd=tmp_path).returncode == 3
    repaired = called("verify", "out", "--repair", cwd=tmp_path)
    assert "made again: generate/00001" in repaired.stdout, repaired.stdout + repaired.stderr
    assert tree(tmp_path / "out") == before
