"""Broken shards are made again, and the run is what it was."""

import os
import shutil

import pytest

from dsfactory.core.run import Run
from dsfactory.errors import RunLocked, UserError
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import command, tree
from tests.verify.test_run import DAMAGE, flip

CANNOT = {"unreadable config", "another config", "truncated manifest"}
"""What only the user can restore."""


def repair(path):
    return verify_path(path, Silent(), repair=True)


@pytest.mark.long
@pytest.mark.parametrize("damage", sorted(DAMAGE.keys() - CANNOT))
def test_a_repaired_run_equals_the_undamaged_one(whole_run, run_path, damage):
    DAMAGE[damage][0](run_path)
    found = repair(run_path)
    assert found.faults == []
    assert tree(run_path) == tree(whole_run)


def test_only_broken_shards_are_made_again(run_path):
    times = {path: path.stat().st_mtime_ns for path in run_path.rglob("*.[pt]a*") if path.is_file()}
    flip(run_path / "generate/00001.tar", 0.5)
    found = repair(run_path)
    assert found.repaired == ["generate/00001", "refine/00001"]
    touched = {str(path.relative_to(run_path)) for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert touched == {f"{stage}/00001.{kind}" for stage in ("generate", "refine") for kind in ("tar", "parquet")}


def test_a_prompts_shard_is_made_again_without_drawing(whole_run, run_path):
    (run_path / "prompts/00000.parquet").unlink()
    found = repair(run_path)
    assert found.repaired == ["prompts/00000"]
    assert tree(run_path) == tree(whole_run)


def test_nothing_is_removed_when_the_model_is_another(run_path, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    flip(weights, 0.99)
    config = run_path / "config.yaml"
    config.write_text(config.read_text().replace(str(tiny_model), str(model)))
    os.truncate(run_path / "generate/00001.tar", 1000)
    before = tree(run_path)
    with pytest.raises(UserError, match="was made with other settings"):
        repair(run_path)
    assert tree(run_path) == before


def test_a_sound_run_is_left_alone(run_path):
    before = tree(run_path)
    assert repair(run_path).repaired == []
    assert tree(run_path) == before


def test_a_repair_waits_for_nobody(run_path):
    with Run.open(run_path).lock(), pytest.raises(RunLocked):
        repair(run_path)


def test_the_command(whole_run, run_path):
    os.truncate(run_path / "refine/00000.tar", 1000)
    done = command("verify", str(run_path), "--repair", cwd=run_path.parent)
    assert done.returncode == 0, done.stderr
    assert "made again: refine/00000" in done.stdout and "all is well" in done.stdout
    assert tree(run_path) == tree(whole_run)


def test_an_export_is_not_repaired(run_path):
    with pytest.raises(UserError, match="export RUN --redo"):
        repair(run_path / "export" / "coco")
