"""Pictures are found in folders that come from anywhere."""

import os
from pathlib import Path

import pytest

from dsfactory.errors import UserError
from dsfactory.stages.annotate.images import find_images, unreadable


def test_pictures_are_found_by_name_in_sub_folders(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "sub/a.png", "sub/deep/ümläut 図.jpeg", ".hidden.jpg", ".git/x.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "export.png").write_bytes(b"")
    found = find_images(tmp_path, leave_out=tmp_path / "out")
    assert found == ["a.png", "b.JPG", "link.png", "sub/a.png", "sub/deep/ümläut 図.jpeg"]
    assert find_images(tmp_path / "notes.txt", tmp_path / "out") == ["notes.txt"]


def test_links_to_folders_are_followed_and_each_folder_is_looked_into_once(tmp_path: Path) -> None:
    for name in ("in/a.png", "in/sub/b.png", "other/c.png", "other/deep/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for link, target in (("in/sub/round", "in"), ("in/more", "other"), ("in/twice", "other"), ("other/back", "in"),
                         ("in/again", "in/sub"), ("in/self", "in/self")):  # fmt: skip
        (tmp_path / link).symlink_to(tmp_path / target)
    assert find_images(tmp_path / "in", tmp_path / "out") == ["a.png", "more/c.png", "more/deep/d.png", "sub/b.png"]


def test_kinds_without_a_library_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsfactory.stages.annotate.images.readable_kinds", lambda: frozenset({"jpg", "png"}))
    assert unreadable(["a.jpg", "b.HEIC", "c/d.heif", "e.avif", "f"]) == {"HEIC": 2, "AVIF": 1}


def test_names_that_are_no_text_are_found(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb"):
        pass
    assert find_images(tmp_path, tmp_path / "out") == ["caf\udce9.png"]


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match="no picture in"):
        find_images(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="is not there"):
        find_images(tmp_path / "nowhere", tmp_path / "out")
