"""``dsfactory trust`` as a user meets it."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run
from dsfactory.core.seeds import derive_seed
from dsfactory.jobs.settings import run_config
from dsfactory.stages.annotate.looking import annotator_of
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from tests.command import called, tree

NAMES = ("dog", "bird")
PICTURES = 12


@pytest.fixture(scope="module")
def folder(tiny_run, tmp_path_factory):
    """A run, and pictures whose truth is what its model says of them, except for every third. Not to be changed."""
    folder = tmp_path_factory.mktemp("trust")
    run_path = shutil.copytree(tiny_run, folder / "a")
    real = folder / "real"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (real / name).mkdir(parents=True)
    annotator = annotator_of(run_config(run_path), Run.open(run_path))
    rng = np.random.default_rng(0)
    for place in range(PICTURES):
        image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        label = 1 + place % 2
        maps = annotator.evidence(
            annotator.noisy(image, derive_seed(0, "trust", place)), [ClassSpec(name=NAMES[label - 1])]
        )
        mask = refine_mask(image, maps.cross, maps.affinity, [label], RefineConfig(min_box=0)).labels
        if place % 3 == 0:
            mask = np.where(mask == 0, label, 0).astype(np.uint8)
        Image.fromarray(image).save(real / "JPEGImages" / f"{place:03}.png")
        Image.fromarray(mask).save(real / "SegmentationClass" / f"{place:03}.png")
    lines = [f"{place:03}" for place in range(PICTURES)]
    (real / "ImageSets/Segmentation/train.txt").write_text("\n".join(lines[:8]))
    (real / "ImageSets/Segmentation/val.txt").write_text("\n".join(lines[8:]))
    (real / "labelmap.txt").write_text("background:0,0,0::\ndog:128,0,0::\nbird:0,128,0::\n")
    return folder


def test_a_fit_on_labelled_pictures_is_stored_in_the_run_and_counts(folder, tmp_path):
    shutil.copytree(folder / "a", tmp_path / "a")
    before = json.loads(called("trust", "show", "a", "--json", cwd=tmp_path).stdout)
    done = called("trust", "fit", "a", "--real", str(folder / "real"), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["pictures"] == PICTURES and said["after"]["objects"] == said["before"]["objects"] >= 30
    assert said["after"]["error"] < said["before"]["error"] + 0.05
    after = json.loads(called("trust", "show", "a", "--json", cwd=tmp_path).stdout)
    assert (before["fitted"], after["fitted"]) == (False, True) and "12 labelled pictures of real" in after[
        "calibrated"
    ]
    assert before["objects"] == after["objects"] and before["median"] != after["median"]
    shown = called("trust", "show", "a", cwd=tmp_path).stdout
    assert "dog: median trust" in shown and "--min-trust 0.5 leaves" in shown


def test_what_cannot_be_fitted_is_refused_in_a_line_and_nothing_is_written(folder, tmp_path):
    shutil.copytree(folder / "a", tmp_path / "a")
    shutil.copytree(folder / "real", tmp_path / "few")
    for name in ("train", "val"):
        (tmp_path / f"few/ImageSets/Segmentation/{name}.txt").write_text("000\n003\n")
    before = {name for name in tree(tmp_path) if "log" not in name}
    for words, line in (
        ((), "--real DIR"),
        (("--real", "nowhere"), "is not a folder"),
        (("--real", "few"), "a fit needs 30"),
    ):
        done = called("trust", "fit", "a", *words, cwd=tmp_path)
        assert done.returncode == 2 and line in done.stderr.splitlines()[-1]
    assert {name for name in tree(tmp_path) if "log" not in name} == before
