import json
from xml.etree import ElementTree

import numpy as np
import pytest

from dsfactory.errors import UserError
from dsfactory.formats.exporter import export
from tests.formats.scenes import CLASSES, labels, sample, samples, write


def test_cvat_masks_are_runs_within_their_box(tmp_path):
    write("cvat", tmp_path / "d")
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


def test_a_class_called_void_is_refused_where_it_is_a_label(tmp_path):
    with pytest.raises(UserError, match="rename the class"):
        export("cvat", samples(1), ("dog", "void"), tmp_path / "d", fingerprint="f", model="pocket")
    assert list(tmp_path.iterdir()) == []
