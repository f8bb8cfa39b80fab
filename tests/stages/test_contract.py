"""What every stage gets from the contract, and has to hold: the tests that all stages of the registry pass.

One run is made with all of them, the example package among them. Each test copies it and takes one stage back.
"""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsfactory.core.chain import Step
from dsfactory.core.run import Run
from dsfactory.jobs.job import EngineMachines
from dsfactory.jobs.settings import run_config
from dsfactory.runner.executors import IN_PROCESS
from dsfactory.runner.progress import Silent
from dsfactory.stages import STAGES, RunConfig
from tests.command import STILL, tree
from tests.forking import Nursery

EXAMPLE = Path(__file__).parents[2] / "examples" / "stage_flip"

SETTINGS = ["--classes", "dog,bird", "--num", "3", "--shard-size", "2", "--steps", "2", "--width", "64",
            "--height", "64", "--set", "refine.min_box=0", "--set", "filter.folds=2", "--set", "filter.segment.steps=2",
            "--set", "filter.segment.side=32", "--set", "filter.keep=1.0", "--set", "filter.min_area=0",
            "--set", "filter.max_area=1", "--set", "filter.duplicate_distance=0", "--set", "select.num=2",
            "--set", "splice.num=3", "--set", "splice.paste=2", "--set", "splice.mix={1x2: 1}",
            "--set", "flip.num=5"]  # fmt: skip

MADE = ("prompts", "generate", "refine", "filter", "select", "splice", "flip")
"""The stages of the run; those after one are made of it, or may be."""

COMMANDS = tuple(name for name in MADE if name != "prompts")


@pytest.fixture(scope="session")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed into a folder."""
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
            "--disable-pip-version-check", "--target", str(folder), str(EXAMPLE)]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Commands:
    """Starts ``dsfactory`` with the example package in reach."""

    def __init__(self, site: Path) -> None:
        root = str(Path(__file__).parents[2])
        self._environment = {**os.environ, **STILL, "PYTHONPATH": os.pathsep.join([root, str(site)])}
        self._nursery = Nursery(self._environment)

    def start(self, *arguments: str, cwd: Path):
        return self._nursery.start([*arguments], cwd, self._environment)

    def __call__(self, *arguments: str, cwd: Path, code: int = 0) -> str:
        process = self.start(*arguments, cwd=cwd)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, err
        return out + err


@pytest.fixture(scope="session")
def commands(brought: Path) -> Commands:
    return Commands(brought)


@pytest.fixture(scope="session")
def finished(commands: Commands, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all stages, made by one command."""
    folder = tmp_path_factory.mktemp("finished")
    switches = [f"--{name}" for name in MADE[3:]]
    commands("run", "--model", str(tiny_model), *SETTINGS, *switches, "--out", "a", "--format", "coco", cwd=folder)
    return folder / "a"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run to work on."""
    shutil.copytree(finished, tmp_path / "a")
    return tmp_path


def take_back(run: Path, name: str) -> None:
    """Delete the shards of a stage and of those that are made after it."""
    for later in MADE[MADE.index(name) :]:
        for path in (run / later).glob("0*"):
            path.unlink()


def again(name: str) -> list[str]:
    """The command that makes a stage in ``a``."""
    return [name, "--out", "a"] if name == "generate" else [name, "a"]


def settings(name: str, model: Path) -> list[str]:
    return ["--model", str(model), *SETTINGS] if name == "generate" else []


def said_as_json(said: str) -> dict[str, Any]:
    """The summary among the lines of a command."""
    found: dict[str, Any] = next(json.loads(line) for line in said.splitlines() if line.startswith("{"))
    return found


def stage_files(run: Path, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / name).glob("0*"))}


def test_own_stages_are_as_their_registry_line_says():
    for entry in STAGES.entries.values():
        kind = entry.kind
        assert (kind.name, kind.inline, kind.then) == (entry.name, entry.facts.inline, entry.facts.then)
        assert kind.Config is entry.section
        begins = not kind.own_space and bool(kind.wanted.__qualname__.partition(".")[0] != "Stage")
        assert begins == entry.facts.begins


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_stage_goes_on_to_the_same_bytes(name, copy, finished, commands, tiny_model):
    take_back(copy / "a", name)
    child = commands.start(*again(name), *settings(name, tiny_model), "--workers", "2", cwd=copy)
    end = time.monotonic() + 120
    while child.poll() is None and not list((copy / "a" / name).glob("0*.parquet")) and time.monotonic() < end:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    commands(*again(name), *settings(name, tiny_model), cwd=copy)
    assert stage_files(copy / "a", name) == stage_files(finished, name)


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_two_workers_make_the_bytes_of_one(name, copy, finished, commands, tiny_model):
    take_back(copy / "a", name)
    commands(*again(name), *settings(name, tiny_model), "--workers", "2", "--quiet", cwd=copy)
    assert stage_files(copy / "a", name) == stage_files(finished, name)


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_limit_stops_a_stage_and_the_next_call_goes_on(name, copy, finished, commands, tiny_model):
    take_back(copy / "a", name)
    arguments = [*again(name), *settings(name, tiny_model)]
    found = said_as_json(commands(*arguments, "--max-gb", "0.000001", "--json", cwd=copy, code=5))
    assert "may have 1e-06" in found["stages"][-1]["stopped"]
    assert stage_files(copy / "a", name) == {}
    commands(*arguments, "--budget", "1h", cwd=copy)
    assert stage_files(copy / "a", name) == stage_files(finished, name)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_dry_run_writes_nothing_and_counts_what_is_left(name, copy, commands, tiny_model):
    take_back(copy / "a", name)
    before = tree(copy)
    found = said_as_json(commands(*again(name), *settings(name, tiny_model), "--dry-run", "--json", cwd=copy))
    planned = {stage["stage"]: stage for stage in found["stages"]}[name]
    assert (planned["to_make"] > 0, planned["finished"], found["dry_run"]) == (True, 0, True)
    assert tree(copy) == before


@pytest.mark.long
@pytest.mark.parametrize("name", MADE)
def test_damage_is_named_and_repaired_to_the_same_bytes(name, copy, finished, commands):
    path = next(iter(sorted((copy / "a" / name).glob("0*.tar"))), copy / "a" / name / "00000.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if path.suffix == ".tar" else data[:-8])
    assert f"{name}/{path.name}" in commands("verify", "a", cwd=copy, code=3)
    commands("verify", "a", "--repair", cwd=copy)
    assert stage_files(copy / "a", name) == stage_files(finished, name)


@pytest.mark.parametrize("name", MADE)
def test_its_own_output_passes_its_check(name, finished, commands):
    found = said_as_json(commands("verify", str(finished), "--json", cwd=finished))
    assert found["faults"] == []
    assert found["checked"][f"{name} shards"] > 0


def test_status_report_and_export_know_every_stage(copy, commands):
    status = commands("status", "a", cwd=copy)
    assert [line.split()[0] for line in status.splitlines() if "finished" in line] == list(MADE)
    commands("report", "a", cwd=copy)
    page = (copy / "a" / "report.html").read_text()
    assert "flip" in page
    everything = commands("export", "a", "--out", "all", cwd=copy)
    without = commands("export", "a", "--out", "some", "--without", "flip", "--without", "splice", cwd=copy)
    assert "flip-" in " ".join(tree(copy / "all")), everything
    assert "flip-" not in " ".join(tree(copy / "some")), without


@pytest.mark.parametrize("name", [name for name in MADE if name != "flip"])
def test_a_stage_pickles_until_it_is_loaded(name, finished):
    content = yaml.safe_load((finished / "config.yaml").read_text())
    del content["flip"]  # this process has no such package
    config, machines = RunConfig.model_validate(content), EngineMachines(IN_PROCESS, Silent())
    stage = STAGES[name].build(config, finished).settled(Run.open(finished).stage_state(name), machines)
    twin = pickle.loads(pickle.dumps(Step(stage))).stage
    assert twin.name == name


def test_a_run_of_which_a_package_is_gone_is_told_in_one_line(finished):
    """Without the package its section is unknown: said with what to do."""
    from dsfactory.errors import UserError

    with pytest.raises(UserError, match="flip"):
        run_config(finished)
