"""A COCO file read piece by piece says what the whole file says, wherever the pieces end."""

import json

import pytest

from dsfactory.errors import UserError
from dsfactory.formats.coco import scan as scanning
from dsfactory.formats.coco.scan import read_at, scan

CONTENT = {
    "info": {"description": 'brackets ]}"[{ in a text', "year": 2017},
    "annotations": [
        {"id": 7, "image_id": 2, "category_id": 1, "segmentation": [[1.5, 2, 3, 4, 5, 6]], "note": "ü]"},
        {"id": 8, "image_id": "x", "category_id": 1},
        {"id": 9, "image_id": 2, "category_id": 3},
        {"id": 10, "image_id": 99, "category_id": 3},
    ],
    "images": [{"id": 2, "file_name": "Zürich.jpg", "height": 4, "width": 5}, {"id": "x", "file_name": "b.jpg"}, 12],
    "categories": [{"id": 1, "name": "Straße"}, {"id": 3, "name": "狗"}],
}


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"ensure_ascii": False}])
def test_it_is_found_whatever_the_pieces(tmp_path, monkeypatch, chunk, layout):
    monkeypatch.setattr(scanning, "CHUNK", chunk)
    path = tmp_path / f"{chunk}.json"
    path.write_text(json.dumps(CONTENT, **layout), encoding="utf-8")
    found = scan(path)
    assert found.categories == {1: "Straße", 3: "狗"} and found.lost == 1
    first, second = found.listed()
    assert (first.name, first.size, second.name, second.size) == ("Zürich.jpg", (4, 5), "b.jpg", (None, None))
    assert [one["id"] for one in read_at(path, first.places)] == [7, 9]
    assert read_at(path, second.places) == [CONTENT["annotations"][1]]
    assert first.mark != second.mark


@pytest.mark.parametrize(
    "text", ["", "[]", '{"images": [', '{"images": [{]}', '{"images": [{"id": 1}', "{'a': 1}", '{"a" 1}']
)
def test_what_is_no_json_is_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match="cannot be read as COCO"):
        scan(path)


def test_a_file_that_changed_in_between_is_noticed(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(CONTENT))
    places = next(scan(path).listed()).places
    path.write_text("{}")
    with pytest.raises(ValueError, match="has changed"):
        read_at(path, places)
