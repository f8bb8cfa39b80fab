"""A real run, damaged in every way that disks and people know."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import command, run_tiny, tree


def verify(path):
    return verify_path(path, Silent())


def flip(path: Path, position: float) -> None:
    """Flip one bit at a relative position."""
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= 16
    path.write_bytes(data)


def swap(left: Path, right: Path) -> None:
    data = left.read_bytes()
    left.write_bytes(right.read_bytes())
    right.write_bytes(data)


def test_a_sound_run_is_read_in_full_and_left_alone(whole_run):
    before = tree(whole_run)
    found = verify(whole_run)
    assert (found.faults, found.notes, found.exit_code) == ([], [], 0)
    assert found.checked == {
        "prompts shards": 2, "generate shards": 2, "refine shards": 2, "coco images": 6, "voc images": 6,
    }  # fmt: skip
    assert tree(whole_run) == before


DAMAGE = {
    "truncated tar": (lambda run: os.truncate(run / "generate/00001.tar", 1000), "generate/00001.tar", "bytes instead"),
    "flipped tar": (lambda run: flip(run / "refine/00000.tar", 0.4), "refine/00000.tar", "checksum"),
    "missing tar": (lambda run: (run / "generate/00000.tar").unlink(), "generate/00000.tar", "is missing"),
    "swapped tars": (
        lambda run: swap(run / "refine/00000.tar", run / "refine/00001.tar"), "refine/00000.tar", "bytes instead",
    ),
    "truncated table": (
        lambda run: os.truncate(run / "prompts/00000.parquet", 900), "prompts/00000.parquet", "not a readable",
    ),
    "missing table": (
        lambda run: (run / "generate/00001.parquet").unlink(), "generate/00001.parquet", "refine was made of it",
    ),
    "swapped tables": (
        lambda run: swap(run / "prompts/00000.parquet", run / "prompts/00001.parquet"), "prompts/00000.parquet",
        "samples 4 to 6",
    ),
    "missing state": (lambda run: (run / "refine/stage.json").unlink(), "refine/stage.json", "is missing"),
    "edited state": (
        lambda run: (run / "generate/stage.json").write_text(
            (run / "generate/stage.json").read_text().replace('"steps": 2', '"steps": 3')
        ), "generate/stage.json", "does not fit its settings",
    ),
    "unreadable config": (lambda run: (run / "config.yaml").write_text("{"), "config.yaml", "not valid YAML"),
    "another config": (
        lambda run: (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("seed: 0", "seed: 1")),
        "config.yaml", "another seed",
    ),
    "truncated manifest": (lambda run: os.truncate(run / "run.json", 20), "run.json", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(run_path, damage):
    inflict, place, says = DAMAGE[damage]
    inflict(run_path)
    found = verify(run_path)
    assert found.exit_code == 3
    assert any(fault.place == place and says in fault.text for fault in found.faults), found.faults


def test_no_flipped_bit_of_a_table_or_a_tar_passes(run_path):
    """Metadata that nothing reads (column statistics, the writer's name) may flip; what is read may not."""
    shutil.rmtree(run_path / "export")
    moments = random.Random(5)
    for name in ("prompts/00000.parquet", "generate/00001.parquet", "refine/00000.parquet", "refine/00001.tar"):
        path = run_path / name
        sound = path.read_bytes()
        for _ in range(12):
            flip(path, moments.random())
            if not verify(run_path).faults:
                assert path.suffix == ".parquet"
                stage, spec = path.parent.name, Run.open(run_path).shards()[int(path.stem)]
                flipped = Run.open(run_path).reader(stage, spec).rows
                path.write_bytes(sound)
                assert Run.open(run_path).reader(stage, spec).rows == flipped
            path.write_bytes(sound)


def test_a_shard_of_another_run_is_foreign(run_path, tmp_path, tiny_model):
    run_tiny(tiny_model, "generate", "--seed", "1", "--out", "b", cwd=tmp_path)
    for extension in ("tar", "parquet"):
        shutil.copy(tmp_path / f"b/generate/00001.{extension}", run_path / "generate")
    texts = [str(fault) for fault in verify(run_path).faults]
    assert any("00001.parquet: was made with other settings" in text for text in texts)
    assert any("generate/00001.parquet: sample 00000004 was made of something else" in text for text in texts)


def test_a_shard_that_is_not_finished_is_no_fault(run_path):
    (run_path / "refine/00001.parquet").unlink()
    shutil.rmtree(run_path / "export")
    found = verify(run_path)
    assert found.exit_code == 0
    assert found.notes == ["1 shard of refine is not finished yet: 'dsfactory refine' goes on"]


def test_the_command_lists_faults_and_exits_3(run_path):
    os.truncate(run_path / "generate/00001.tar", 1000)
    done = command("verify", str(run_path), cwd=run_path.parent)
    assert (done.returncode, done.stderr) == (3, "verify: 18 samples\n")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("generate/00001.tar: has 1000 bytes")
    assert "1 fault;" in lines[-1] and "--repair" in lines[-1]
    summary = json.loads(command("verify", str(run_path), "--json", cwd=run_path.parent).stdout)
    assert (summary["exit_code"], summary["faults"][0]["shard"]) == (3, 1)


def test_what_is_neither_a_run_nor_an_export(tmp_path):
    with pytest.raises(UserError, match="neither a run"):
        verify(tmp_path)
