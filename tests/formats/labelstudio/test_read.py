"""Tasks as Label Studio exports them: the last annotation counts, polygons are read, bad ones are named."""

import json

import numpy as np
import pytest

from dsfactory.formats.labelstudio.read import read_labelstudio
from dsfactory.formats.reading.detect import format_of
from dsfactory.formats.reading.labels import Expected, Unread
from dsfactory.formats.reading.source import Source
from tests.formats.scenes import CLASSES, labels, write

SQUARE = [[25, 25], [75, 25], [75, 75], [25, 75]]


def result(kind="polygonlabels", label="dog", **value):
    return {"type": kind, "original_width": 64, "original_height": 48, "value": {kind: [label], **value}}


def read(tmp_path, *tasks):
    (tmp_path / "project-1-at-2026.json").write_text(json.dumps(tasks))
    with Source.open(tmp_path / "project-1-at-2026.json") as source:
        assert format_of(source) == "labelstudio"
        return list(read_labelstudio(source, Expected(CLASSES)))


def task(*results, name="00000000.png", **more):
    return {"data": {"image": f"/data/local-files/?d=images/{name}"}, "annotations": [{"result": [*results]}], **more}


def test_what_was_written_comes_back_exactly(tmp_path):
    write("labelstudio", tmp_path / "d", count=3)
    with Source.open(tmp_path / "d") as source:
        assert format_of(source) == "labelstudio"
        found = list(read_labelstudio(source, Expected(CLASSES)))
    for number, item in enumerate(found):
        mask, instances = labels(number)
        assert np.array_equal(item.mask, mask)
        assert np.array_equal(item.instances > 0, (instances > 0) & (instances < 255))


def test_a_polygon_is_in_hundredths_and_the_last_annotation_counts(tmp_path):
    old = {"result": [result(points=SQUARE, label="crème brûlée")]}
    mine = task(result(points=SQUARE))
    mine["annotations"] = [old, *mine["annotations"], {"result": [], "was_cancelled": True}]
    (found,) = read(tmp_path, mine)
    assert {*np.unique(found.mask)} == {0, 1} and found.mask[12:36, 16:48].all()
    assert found.mask.sum(dtype=int) <= 25 * 33


@pytest.mark.parametrize(("bad", "said"), [
    (result("rectanglelabels", x=1), "type rectanglelabels"),
    (result(points=[[1, 2]]), "polygon that is none"),
    (result(points=SQUARE, label="cat"), "'cat' is no class"),
    ({"type": "polygonlabels"}, "no task of Label Studio"),
])  # fmt: skip
def test_a_bad_task_is_named_and_the_others_come_in(bad, said, tmp_path):
    first, second = read(tmp_path, task(bad), task(result(points=SQUARE), name="00000001.png"))
    assert isinstance(first, Unread) and said in first.reason and first.name == "00000000.png"
    assert second.key == "00000001"
