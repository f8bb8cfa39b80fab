"""``dsfactory compare`` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.rendered_run import LabelledScene
from tests.command import called
from tests.stages.filter.scenes import draw_scene, make_run, scenes_with_noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs of the same images, of which the second has two wrong masks, and exports of the first."""
    folder = tmp_path_factory.mktemp("compare")
    make_run(folder / "a", [draw_scene(number) for number in range(8)])
    make_run(folder / "b", scenes_with_noise(8, 2))
    done = called("export", "a", "--format", "voc,coco,png", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def compared(folder: Path, *names: str, code: int = 0, out: Path | None = None) -> dict:
    page = out or folder / "page.html"
    done = called("compare", *names, "--out", str(page), "--json", cwd=folder)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_it_finds_the_wrong_ones_and_shows_them_first(folder):
    done = called("compare", "a", "b", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "A and B on 8 images" in done.stdout and "compare.html" in done.stdout
    found = compared(folder, "a", "b")
    assert {one["image"] for one in found["worst"][:2]} == {"00000000", "00000001"}
    assert all(0.3 < found["pairs"][0]["iou"][name] < 0.9 for name in ("disc", "square"))
    page = (folder / "compare.html").read_text()
    assert page.count("<img") == 16 and "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("other", ["a/export/voc", "a/export/coco", "a/export/png"])
def test_an_export_says_what_its_run_says(folder, other):
    found = compared(folder, "a", other)
    assert found["images"] == 8 and found["classes"] == ["disc", "square"]
    least = 0.97 if "coco" in other else 1.0
    assert all(value >= least for value in found["pairs"][0]["iou"].values())
    assert "share errors" in found["notes"][0]


def test_three_are_estimated_and_relatives_are_named(folder):
    found = compared(folder, "a", "b", "a/export/voc")
    assert found["staple"]["disc"]["a"]["iou"] > found["staple"]["disc"]["b"]["iou"]
    assert any("a and a/export/voc go back to the same" in line and "for truth" in line for line in found["notes"])


def test_images_of_other_sizes_and_unreadable_ones_are_named_and_the_rest_is_compared(folder, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(8):
        Image.fromarray(draw_scene(number).mask).save(masks / f"{number:08d}.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(masks / "00000003.png")
    (masks / "00000004.png").write_bytes(b"no image")
    found = compared(folder, "a", str(masks), code=3, out=tmp_path / "page.html")
    assert {*found["skipped"]} == {"00000003", "00000004"} and found["images"] == 6
    assert "different sizes: 32 × 32, 9 × 9" in found["skipped"]["00000003"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a"], "compare takes two to 6"),
        (["a", "a"], "named twice"),
        (["a", "nowhere"], "nowhere is not there"),
        (["a", "a@splice"], "were made by refine"),
        (["a", "c"], "no class is in all of them"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, names, says, tmp_path):
    if not (folder / "c").exists():
        scene = draw_scene(0)
        make_run(folder / "c", [LabelledScene(scene.image, scene.mask, ("moon",))], ("moon",))
    done = called("compare", *names, "--out", str(tmp_path / "page.html"), cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_page_of_somebody_elses_stays(folder, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    done = called("compare", "a", "b", "--out", str(tmp_path / "mine.html"), cwd=folder)
    assert done.returncode == 2 and (tmp_path / "mine.html").read_text() == "mine"
