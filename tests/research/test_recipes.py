"""The table of recipes: every arm and every kind of scene has a figure, for a model that was never trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("resvg_py")

from research import presence_study, recipes
from research.testbeds.models import Bed
from scripts.pocket.stickers import load_stickers
from scripts.pocket.text import train_tokenizer


@pytest.mark.long
def test_every_arm_has_a_figure_with_its_spread(
    packages: Path,
    caption_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Bed.new("joint", train_tokenizer(["a dog", "a bird"] * 4, merges=20), 1.0, torch.device("cpu")).save(
        tmp_path / "bed"
    )
    icons = {"dog": ("dog",), "bird": ("bird",)}
    monkeypatch.setattr(recipes, "stickers_of", lambda folder, style: load_stickers(folder, (style,), icons))
    out = tmp_path / "figures.json"
    arguments = ["--packages", str(packages), "--captions", str(caption_file), "--models", str(tmp_path / "bed")]
    recipes.main([*arguments, "--styles", "style-a", "--scenes", "1", "--seeds", "1,2", "--out", str(out)])
    rows = json.loads(out.read_text())["bed"]
    assert [arm.removesuffix(", told") for arm in rows["masks"]] == [*recipes.arms_of(joint=True)]
    assert "one block, told" in rows["masks"] and "heads, told" not in rows["masks"]
    assert [*rows["instances"]] == [*recipes.RULES]
    for cells in (*rows["masks"].values(), *rows["instances"].values()):
        assert [len(cells[kind]) for kind in recipes.KINDS] == [2, 2, 2]
        assert all(0 <= value <= 1 for kind in recipes.KINDS for value in cells[kind])
    assert "| mean (before), told |" in capsys.readouterr().out


def test_precision_times_recall_of_objects() -> None:
    truth = np.repeat(np.uint8([[0, 1, 1, 2, 2, 0]]), 4, axis=0)
    for ours, expected in (
        (truth, 1.0),
        (np.where(truth > 0, np.uint8(1), np.uint8(0)), 0.5),  # fits neither by more than a half, but one by a half
        (np.zeros_like(truth), 0.0),
    ):
        tally = recipes.Instances()
        tally.add(ours, truth)
        assert tally.ap50 == expected


def test_styles_for_testing_are_not_for_choosing(packages: Path) -> None:
    assert "openmoji" in presence_study.TEST_STYLES
    with pytest.raises(SystemExit, match="for testing"):
        recipes.main(["--packages", str(packages), "--styles", "openmoji"])
