"""A real set that judges: what it is, what it limits, and what is hard."""

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import encode_index_png
from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.stages.filter.real import RealSet, Reference
from dsfactory.stages.filter.stage import difficulties
from tests.command import called

CLASSES = (ClassSpec(name="dog"), ClassSpec(name="bird", synonyms=("sparrow",)))


def voc(root, train=3, val=2):
    """Squares on grey: of a dog, a sparrow and a zebra."""
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    (root / "labelmap.txt").write_text("background:0,0,0::\nzebra:128,0,0::\nsparrow:0,128,0::\ndog:128,128,0::\n")
    for split, count in (("train", train), ("val", val)):
        names = [f"{split}{number}" for number in range(count)]
        (root / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(names))
        for number, name in enumerate(names):
            mask = np.zeros((40, 48), np.uint8)
            mask[8:24, 8:24], mask[28:36, 30:44] = 1 + number % 3, 3
            Image.fromarray(mask * 60).convert("RGB").save(root / f"JPEGImages/{name}.png")
            (root / f"SegmentationClass/{name}.png").write_bytes(encode_index_png(mask))
    return root


def test_labels_are_in_the_runs_terms(tmp_path):
    real = RealSet.open(voc(tmp_path / "real"), CLASSES)
    assert [sorted(np.unique(real.train[index][1])) for index in range(3)] == [[0, 1], [0, 1, 2], [0, 1]]
    assert real.lacking == () and RealSet.open(tmp_path / "real", (ClassSpec(name="cat"),)).lacking == ("cat",)
    with pytest.raises(UserError, match="is not a folder"):
        RealSet.open(tmp_path / "none", CLASSES)


def test_a_class_without_real_pixels_has_no_limit():
    assert Reference([8.0, 2.0, 0.0], [4, 1, 0]).limits(1.25).tolist() == [2.5, 2.5, np.inf]
    assert np.isinf(Reference([8.0], [4]).limits(0)).all()


def test_hard_is_what_attention_vouches_for():
    row = {"claim": [0.9, 0.9, 0.2, 0.0], "agreement": [0.3, 0.9, 0.9, 0.0]}
    assert difficulties(row, [0.7, 0.4, 0.4, None], 0.5) == ["easy", "hard", "doubtful", None]


def test_a_real_set_judges_in_place_of_the_folds(tiny_run, tmp_path):
    import shutil

    shutil.copytree(tiny_run, tmp_path / "a")
    voc(tmp_path / "real")
    flags = ["--set", "filter.segment.steps=2", "--set", "filter.segment.side=32", "--set", "filter.keep=1.0",
             "--set", "filter.min_area=0", "--set", "filter.max_area=1"]  # fmt: skip
    done = called("filter", "a", "--real", "real", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 real images teach a network little" in done.stderr
    folder = tmp_path / "a" / "filter"
    assert (folder / "reference.json").exists() and len(list(folder.glob("fold-*.safetensors"))) == 1
    run = Run.open(tmp_path / "a")
    rows = [row for spec in run.finished("filter") for row in run.reader("filter", spec).rows]
    found = {one for row in rows if row["difficulty"] for one in row["difficulty"]}
    assert found <= {"easy", "hard", "doubtful", None} and found != {None}
    assert called("verify", "a", cwd=tmp_path).returncode == 0
    again = called("filter", "a", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
