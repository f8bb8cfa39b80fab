import csv
import json
from pathlib import Path

import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.annotate.pictures import (
    Picture,
    merge_pictures,
    read_image_classes,
    read_pictures,
    write_pictures,
)

CLASSES = (ClassSpec(name="dog"), ClassSpec(name="traffic light"))


def pictures(*names: str) -> list[Picture]:
    return [Picture(name=name) for name in names]


def test_a_picture_keeps_its_number_when_others_are_added_or_vanish() -> None:
    before = pictures("b.jpg", "d.jpg")
    after = merge_pictures(before, pictures("a.jpg", "d.jpg", "e.jpg"), redo=False)
    assert [picture.name for picture in after] == ["b.jpg", "d.jpg", "a.jpg", "e.jpg"]


def test_other_classes_for_a_picture_that_is_labelled_need_redo() -> None:
    before, after = [Picture(name="a.jpg", classes=("dog",))], [Picture(name="a.jpg", classes=())]
    with pytest.raises(UserError, match=r"a.jpg was labelled as showing dog, now it is said to show no class: add --r"):
        merge_pictures(before, after, redo=False)
    assert merge_pictures(before, after, redo=True) == tuple(after)


def test_the_list_survives_names_of_all_kinds(tmp_path: Path) -> None:
    listed = [*pictures("ü 図.jpg", "caf\udce9.png", 'quo"te\n.jpg'), Picture(name="sub/a.jpg", classes=("dog",))]
    write_pictures(tmp_path, listed)
    assert read_pictures(tmp_path) == tuple(listed)


@pytest.mark.parametrize("name", ["/etc/shadow.png", "../other.png", "a/../../b.png", ""])
def test_a_list_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "pictures.json").write_text(json.dumps({"pictures": [{"name": name}]}))
    with pytest.raises(UserError, match=r"does not lie in the folder"):
        read_pictures(tmp_path)


def test_classes_per_picture_from_csv_and_json(tmp_path: Path) -> None:
    expected = {"a.jpg": ("dog",), "sub/b.jpg": ("traffic light", "dog"), "c.jpg": ()}
    table = tmp_path / "classes.csv"
    table.write_text("\ufefffile,note,classes\r\na.jpg,,dog\r\nsub/b.jpg,x,Traffic-Light; dog\r\n./c.jpg,,\r\n")
    assert read_image_classes(table, CLASSES) == expected
    document = tmp_path / "classes.json"
    document.write_text('{"a.jpg": ["dog"], "sub/b.jpg": ["traffic light", "dog", "dog"], "c.jpg": []}')
    assert read_image_classes(document, CLASSES) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.csv", "a.jpg,dog\n", "the first line must name the columns"),
        ("c.csv", "file,classes\na.jpg,cat\n", "a.jpg shows 'cat', which is none of dog, traffic light"),
        ("c.csv", 'file,classes\n"a.jpg,dog\n', "is not CSV"),
        ("c.csv", "file,classes\na.jpg,dog\n,bird\n", "line 3: it names no file"),
        ("c.csv", "file,file,classes\nx\n", "line 2: it names no file"),
        ("c.csv", "", "the first line must name the columns"),
        ("c.json", "{", "is not JSON"),
        ("c.json", '["a.jpg"]', "write it as"),
        ("c.json", '{"a.jpg": "dog"}', "write it as"),
        ("c.json", "[" * 100_000, "is not JSON"),
    ],
)
def test_a_list_of_classes_that_cannot_be_used_is_named(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        read_image_classes(tmp_path / name, CLASSES)


def test_a_short_table_takes_nothing_from_those_that_are_read_after_it(tmp_path):
    (tmp_path / "c.csv").write_text("file,classes\na.jpg,dog\n")
    before = csv.field_size_limit()
    read_image_classes(tmp_path / "c.csv", (ClassSpec(name="dog"),))
    assert csv.field_size_limit() >= before
