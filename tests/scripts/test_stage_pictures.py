"""The page that shows one image in every stage, of a run of a tiny model."""

import sys

import numpy as np
import pytest
from PIL import Image

from scripts.stage_pictures import choose_splice, main, read_steps
from tests.command import command, run_tiny

NETWORK = ["--set", "filter.segment.steps=2", "--set", "filter.segment.side=32", "--keep", "1.0"]
PLAIN = ["--set", "splice.blur=0", "--set", "splice.occlusion=0", "--set", "splice.perspective=0", "--val-share", "0"]


@pytest.fixture(scope="module")
def spliced(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    run_tiny(tiny_model, "run", "--out", "a", "--num", "4", "--set", "refine.min_box=0", cwd=folder)
    for arguments in (["filter", "a", *NETWORK], ["splice", "a", "--num", "3", "--mix", "2x2=1", *PLAIN]):
        done = command(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder / "a"


def test_every_panel_is_the_runs_own(spliced, tmp_path, monkeypatch, capsys):
    steps = read_steps(spliced, None)
    assert steps.row["key"] in steps.splice[3]["sources"]
    candidates, agreement = steps.candidates
    assert len(candidates) == len(agreement) and candidates[0] <= steps.threshold <= candidates[-1]
    assert steps.network.shape == steps.mask.shape == steps.fused.shape
    out = tmp_path / "stages.jpg"
    monkeypatch.setattr(sys, "argv", ["stage_pictures", str(spliced), "--out", str(out)])
    assert main() == 0
    assert steps.row["key"] in capsys.readouterr().out
    with Image.open(out) as picture:
        assert picture.width > 1200 and np.asarray(picture).std() > 10


def test_a_run_without_what_is_wanted_is_one_line(spliced):
    from dsfactory.core.run import Run

    with pytest.raises(SystemExit, match="has no 2x2 mosaic of 99999999"):
        choose_splice(Run.open(spliced), "99999999")
