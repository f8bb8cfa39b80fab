"""Pictures that a small model draws nothing like are foreign to it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsfactory.embed.network import Features
from dsfactory.stages.annotate.domain import Reference
from tests.command import called
from tests.test_annotate_command import annotate, draw, rows

RNG = np.random.default_rng(0)


def test_the_distance_is_mahalanobis_where_all_components_count_and_grows_beside_them() -> None:
    features = (RNG.normal(0, [3, 1, 0.1], (5000, 3)) + 5).astype(np.float32)
    near = Reference.of(features, 2)
    assert near.distance(near.mean) == 0
    off = near.mean + np.array([6, 2, 0.2], np.float32)
    assert near.distance(off) == pytest.approx(12**0.5, rel=0.05)
    assert replace(near, limit=2.0).distance(off) == pytest.approx(3**0.5, rel=0.05)


def test_a_model_that_knows_the_world_has_no_reference_and_pockets_is_small() -> None:
    assert Reference.read("sd15") is None and Reference.read("some/folder") is None
    reference = Reference.read("pocket")
    assert reference is not None and reference.mean.shape == Features()(np.zeros((40, 30, 3), np.uint8)).shape
    noise = RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert reference.distance(Features()(noise)) > 1


@pytest.mark.long
def test_foreign_pictures_are_rejected_by_name_and_every_output_says_so(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        draw(tmp_path / "in" / f"{number}.png", number)
    Image.new("RGB", (64, 64), "white").save(tmp_path / "in" / "plain.png")
    mean = Features()(np.full((64, 64, 3), 255, np.uint8))
    close = Reference(mean, np.zeros((1, len(mean)), np.float32), np.ones(1, np.float32), 0.01, 1.0)
    monkeypatch.setattr("dsfactory.stages.annotate.domain.Reference.read", lambda model: close)
    done = annotate(tiny_model, "in", "--classes", "dog", "--min-presence", "off", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0 and "3 of them are foreign to" in done.stdout, done.stderr
    made = rows(tmp_path / "out", "generate")
    assert [row["reason"] for row in made] == ["foreign"] * 3 + [""]
    assert made[0]["distance"] > 1 and made[3]["distance"] == 0
    refined = rows(tmp_path / "out", "refine")
    assert [(row["status"], row["reason"]) for row in refined[:3]] == [("rejected", "foreign")] * 3
    with open(tmp_path / "out/generate/failures.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["0.png", "1.png", "2.png"]
    assert called("verify", "out", cwd=tmp_path).returncode == 0
    if refined[3]["status"] == "ok":
        info = json.loads((tmp_path / "out/export/coco/annotations/instances_train.json").read_text())["info"]
        assert "3 pictures were left out as foreign" in info["description"]
    assert called("report", "out", cwd=tmp_path).returncode == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "3 of 4 pictures are foreign" in page and "2.png" in page
    taken = annotate(tiny_model, "in", "--classes", "dog", "--min-presence", "off", "--max-distance", "off",
                     "--out", "all", cwd=tmp_path)  # fmt: skip
    assert taken.returncode == 0 and {row["reason"] for row in rows(tmp_path / "all", "generate")} == {""}
