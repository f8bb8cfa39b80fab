"""Masks from other tools, whose label maps have names, colours and an order of their own."""

import numpy as np
import pytest
from PIL import Image

from dsfactory.errors import UserError
from dsfactory.formats.reading.labels import Expected
from dsfactory.formats.reading.source import Source
from dsfactory.formats.voc.read import read_voc

LABELMAP = "\ufeff# label:color_rgb:parts:actions\nbackground:0,0,0::\nbird:10,20,30::\ndog:200,100,0::\n"
COLOURS = np.array([[[0, 0, 0], [10, 20, 30], [200, 100, 0], [224, 224, 192]]], dtype=np.uint8)


def read(folder, labelmap, colours=COLOURS):
    (folder / "SegmentationClass").mkdir()
    Image.fromarray(colours).save(folder / "SegmentationClass" / "00000007.png")
    (folder / "labelmap.txt").write_text(labelmap, encoding="utf-8")
    with Source.open(folder) as source:
        (found,) = read_voc(source, Expected(("dog", "bird")))
    return found


def test_colours_mean_what_the_label_map_says(tmp_path):
    found = read(tmp_path, LABELMAP)
    assert found.key == "00000007" and found.mask.tolist() == [[0, 2, 1, 255]]


@pytest.mark.parametrize("name", ["void", "ignored", "Ignore", "unlabelled"])
def test_what_other_tools_call_void_is_void(tmp_path, name):
    colours = np.array([[[1, 2, 3], [10, 20, 30]]], dtype=np.uint8)
    assert read(tmp_path, f"{LABELMAP}{name}:1,2,3::\n", colours).mask.tolist() == [[255, 2]]


@pytest.mark.parametrize(
    ("labelmap", "message"),
    [
        (LABELMAP + "bird:1,2::\n", r"labelmap\.txt, line 5: write a label as"),
        (LABELMAP + "bird:1,2,300::\n", "line 5: .*colours from 0 to 255"),
    ],
)
def test_a_label_map_that_is_none_is_one_line(tmp_path, labelmap, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, labelmap)
    assert "\n" not in str(error.value)


def test_labels_that_no_mask_shows_do_not_matter_and_others_keep_the_mask_out(tmp_path):
    assert read(tmp_path, LABELMAP + "cat:1,2,3::\n").mask.tolist() == [[0, 2, 1, 255]]
    for name, labelmap, reason in (
        ("cat", LABELMAP.replace("bird:", "cat:"), "'cat' is no class of the run"),
        ("colour", LABELMAP.replace("10,20,30", "1,2,3"), "has the colour #0a141e, which labelmap.txt does not name"),
    ):
        (tmp_path / name).mkdir()
        assert reason in read(tmp_path / name, labelmap).reason
