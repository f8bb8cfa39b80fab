import os
import shutil

import pytest

from dsfactory.storage import removals
from dsfactory.storage.removals import Removals

NAMES = ["run.json", "a/0.tar", "a/1.tar", "b/c/0.png"]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def looks(monkeypatch):
    """The folders that were looked into."""
    found, listdir = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: found.append(path) or listdir(path))
    return found


def age(folder):
    """Make it seem that nothing has changed for an hour."""
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        changed = path.stat().st_mtime_ns - 3600 * 10**9
        os.utime(path, ns=(changed, changed))


def test_what_is_gone_is_told_until_it_is_forgotten(folder):
    known = Removals(folder, NAMES)
    assert known.removed() == []
    (folder / "a/1.tar").unlink()
    shutil.rmtree(folder / "b")
    assert known.removed() == known.removed() == ["a/1.tar", "b/c/0.png"]
    known.forget(["a/1.tar", "b/c/0.png"])
    assert known.removed() == []
    (folder / "a/1.tar").touch()
    known.add("a/1.tar")
    assert known.removed() == []
    (folder / "run.json").unlink()
    (folder / "a/1.tar").unlink()
    assert known.removed() == ["run.json", "a/1.tar"]


def test_folders_that_did_not_change_are_not_looked_into(folder, looks):
    age(folder)
    known = Removals(folder, NAMES)
    known.removed()
    assert len(looks) == 3
    (folder / "a/2.tar").touch()
    known.add("a/2.tar")
    for _ in range(3):
        assert known.removed() == []
    assert looks[3:] == [folder / "a"] * 3  # it changed a moment ago and may change again in this very moment
    (folder / "b/c/0.png").unlink()
    assert known.removed() == ["b/c/0.png"]


def test_a_change_at_the_same_moment_is_not_missed(folder, monkeypatch):
    """Clocks of file systems tick a hundred times a second."""
    monkeypatch.setattr(removals.time, "time_ns", lambda: (folder / "a").stat().st_mtime_ns)
    known = Removals(folder, NAMES)
    assert known.removed() == []
    moment = (folder / "a").stat().st_mtime_ns
    (folder / "a/0.tar").unlink()
    os.utime(folder / "a", ns=(moment, moment))
    assert known.removed() == ["a/0.tar"]
