"""The script that calibrates trust, on a few scenes with the pocket model."""

import json

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from dsfactory.trust.model import Table
from research.trust import main, rendered
from scripts.pocket.stickers import load_stickers
from tests.command import called


def test_a_scene_is_told_what_it_shows_and_at_most_one_class_more(packages):
    found = list(rendered(load_stickers(packages, ("style-a",)), 12, 3))
    extra = [len(told) - len(scene.classes) for scene, told in found]
    assert {*extra} == {0, 1} and all({*scene.classes} <= {*told} for scene, told in found)
    again = list(rendered(load_stickers(packages, ("style-a",)), 12, 3))
    assert all(np.array_equal(one.image, other.image) for (one, _), (other, _) in zip(found, again, strict=True))


def test_scenes_become_a_table_and_figures(packages, tmp_path):
    main(["scenes", str(tmp_path / "a"), "--packages", str(packages), "--styles", "style-a", "--scenes", "3"])
    assert called("refine", "a", "--quiet", cwd=tmp_path).returncode == 0
    main(["fit", str(tmp_path / "a"), "--out", str(tmp_path / "table.json")])
    table = Table.read(tmp_path / "table.json")
    assert table.objects >= 3 and len(table.models) == 2
    figures = ["--table", str(tmp_path / "table.json"), "--out", str(tmp_path / "m.json")]
    main(["measure", str(tmp_path / "a"), "--name", "three", *figures, "--plot", str(tmp_path / "m.png")])
    arms = json.loads((tmp_path / "m.json").read_text())["three"]["arms"]
    assert [arm["objects"] for arm in arms.values()] == [table.objects] * 2
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
