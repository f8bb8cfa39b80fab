"""Faults of what comes after refine: a full disk, a damaged shard of the stage before, a kill in the middle."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.run import Run
from dsfactory.core.section import parse_section
from dsfactory.errors import DamagedShard, UserError
from dsfactory.evaluate.config import EvaluateConfig
from dsfactory.jobs.corrections import import_job
from dsfactory.jobs.evaluate import evaluate_job
from dsfactory.jobs.export import export_job
from dsfactory.report.job import report_job
from dsfactory.runner.progress import Silent
from tests.command import called, command, tree
from tests.making import make
from tests.stages.filter.scenes import CLASSES, QUICK, make_run, scenes_with_noise

SPLICES = {"splice": {"num": 12, "mix": "1x2", "paste": 2}, "shard_size": 2}
FEW = {"filter": {**QUICK["filter"], "segment": {**QUICK["filter"]["segment"], "steps": 3}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of twelve labelled samples in three shards, a real set of them, and mended masks. Not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    make_run(folder / "a", scenes_with_noise(12, 0), shard_size=4)
    export_job(folder / "a", "voc", folder / "real", 0.3)
    export_job(folder / "a", "png", folder / "mended", 0.3)
    for path in sorted((folder / "mended" / "ann_dir").rglob("*.png")):
        mask = np.array(Image.open(path))
        mask[:4, :] = np.where(mask[:4, :] == 0, 255, mask[:4, :])
        Image.fromarray(mask).save(path)
    return folder


def splice(run: Path, made: Path) -> Any:
    return make("splice", run, SPLICES)


def filter_(run: Path, made: Path) -> Any:
    return make("filter", run, FEW)


def evaluate(run: Path, made: Path) -> Any:
    settings = {"segment": {"steps": 3, "side": 32, "batch_size": 2}, "device": "cpu"}
    return evaluate_job(run, made / "real", parse_section(EvaluateConfig, settings, "settings"), Silent())


def report(run: Path, made: Path) -> Any:
    return report_job(run, None, 100, Silent())


def import_(run: Path, made: Path) -> Any:
    return import_job(run, made / "mended", "png")


@dataclass(frozen=True)
class Fault:
    """A command and how much room it gets beside the run, in KB."""

    work: Callable[[Path, Path], Any]
    room: int


COMMANDS = [Fault(splice, 60), Fault(filter_, 40), Fault(evaluate, 40), Fault(report, 16), Fault(import_, 12)]


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def resize(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


@pytest.mark.long
@pytest.mark.parametrize("fault", COMMANDS, ids=lambda fault: fault.work.__name__.strip("_"))
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(fault, made, tmp_path):
    whole, disk = tmp_path / "a", tmp_path / "disk"
    shutil.copytree(made / "a", whole)
    before = tree(whole)
    fault.work(whole, made)
    with small_disk(disk):
        run = disk / "a"
        shutil.copytree(made / "a", run)
        used = os.statvfs(disk)
        resize(disk, (used.f_blocks - used.f_bfree) * used.f_frsize + fault.room * 1024)
        with pytest.raises(UserError, match="no space left on the disk"):
            fault.work(run, made)
        assert [path for path in run.rglob(".*") if path.name != ".lock"] == []
        after = tree(run)
        assert all(after[name] == data for name, data in before.items() if name != "config.yaml")
        # What is there is finished: a shard, a network, a manifest. Nothing of it is made again.
        fresh = {name: (run / name).stat().st_ino for name in after if name.endswith((".parquet", ".safetensors"))}
        resize(disk, 200 << 20)
        fault.work(run, made)
        assert tree(run) == tree(whole)
        assert {name: (run / name).stat().st_ino for name in fresh} == fresh


def damage(path: Path) -> None:
    """Flip a bit of a tar, cut a table short: not every bit of a Parquet file means something."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data if path.suffix == ".tar" else data[: len(data) // 2])


@pytest.mark.parametrize("work", [filter_, evaluate], ids=["filter", "evaluate"])
@pytest.mark.parametrize("name", ["generate/00001.tar", "refine/00001.tar", "refine/00001.parquet"])
def test_networks_learn_from_no_damaged_shard(work, name, made, tmp_path):
    run = Path(shutil.copytree(made / "a", tmp_path / "a"))
    damage(run / name)
    before = tree(run)
    with pytest.raises(DamagedShard, match=name):
        work(run, made)
    assert not [path for path in run.rglob("*.safetensors")]
    assert {path: data for path, data in tree(run).items() if path in before and path != "config.yaml"} == {
        path: data for path, data in before.items() if path != "config.yaml"
    }


def test_splices_of_a_damaged_shard_are_left_out_and_named(made, tmp_path):
    whole = Path(shutil.copytree(made / "a", tmp_path / "whole"))
    splice(whole, made)
    run = Path(shutil.copytree(made / "a", tmp_path / "a"))
    damage(run / "generate" / "00001.tar")
    summary = splice(run, made)
    assert summary.exit_code == 3
    assert all("generate/00001.tar" in line for line in summary.stages[0].damaged)
    expected = tree(whole)
    finished = {name: data for name, data in tree(run).items() if name.startswith("splice/0")}
    assert all(expected[name] == data for name, data in finished.items())
    shutil.copy(made / "a/generate/00001.tar", run / "generate/00001.tar")
    assert splice(run, made).exit_code == 0
    assert tree(run) == expected


def test_a_report_names_a_damaged_shard_and_shows_the_rest(made, tmp_path):
    run = Path(shutil.copytree(made / "a", tmp_path / "a"))
    damage(run / "refine" / "00001.parquet")
    summary = report(run, made)
    assert (summary.exit_code, summary.samples, len(summary.damaged)) == (3, 8, 1)
    assert "refine/00001.parquet" in summary.damaged[0]


def test_an_import_into_a_damaged_run_changes_nothing(made, tmp_path):
    run = Path(shutil.copytree(made / "a", tmp_path / "a"))
    damage(run / "generate" / "00002.tar")
    with pytest.raises(DamagedShard, match=r"generate/00002\.tar"):
        import_(run, made)
    assert not (run / "fixes" / "fixes.json").exists()


@pytest.mark.parametrize(
    ("arguments", "appears"),
    [(["import", "a", "mended", "--format", "png"], "fixes/*.png"), (["report", "a"], ".report.html.*.tmp")],
    ids=["import", "report"],
)
def test_a_kill_leaves_all_or_nothing(arguments, appears, made, tmp_path):
    """As the crash matrix shows of the stages: the import between two fixes, the report while it is written."""
    for name in ("a", "mended"):
        shutil.copytree(made / name, tmp_path / name)
    whole = Path(shutil.copytree(made / "a", tmp_path / "whole"))
    {"import": import_, "report": report}[arguments[0]](whole, made)
    process = command(*arguments, cwd=tmp_path, wait=False)
    while process.poll() is None and not list((tmp_path / "a").glob(appears)):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status = json.loads(called("status", "a", "--json", cwd=tmp_path).stdout)
    assert status["corrections"] in (0, 12)
    assert (tmp_path / "a/report.html").exists() in (False, process.returncode == 0)
    done = called(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "a") == tree(whole)


def test_the_made_run_shows_every_class(made):
    run = Run.open(made / "a")
    assert [item.name for item in run.manifest.classes] == list(CLASSES)
