"""Artifacts that several workers make at once."""

import os

import pytest

from dsfactory.errors import DamagedShard, DsfactoryError, StopSignal
from dsfactory.runner import signals
from dsfactory.runner.executors import IN_PROCESS, Local
from tests.runner.toys import Counting, Numbers

WORKERS = Local((None, None))


@pytest.fixture
def folder(run):
    return run.make_stage_folder("numbers")


def made(run, folder):
    assert {path.name: path.read_text() for path in folder.iterdir()} == {f"{n}.txt": f"{n} 7" for n in "abc"}
    return (run.path / "who.txt").read_text().split()


@pytest.mark.parametrize(("engine", "here"), [(IN_PROCESS, True), (WORKERS, False)], ids=["inline", "processes"])
def test_each_part_is_made_once_and_shown(run, folder, engine, here):
    stage, progress = Numbers(7, seconds=0.1), Counting()
    engine.make_parts(run, stage, stage.parts(run), progress)
    makers = made(run, folder)
    assert len(makers) == 3 and (str(os.getpid()) in makers) == here and len(set(makers)) == (1 if here else 2)
    assert progress.through == {f"learning {name}": 3 for name in "abc"}
    assert not stage.parts(run)


def test_a_worker_that_dies_in_a_part_is_replaced(run, folder, tmp_path):
    progress = Counting()
    stage = Numbers(7, fatal="b", lives=1, deaths=tmp_path / "deaths")
    WORKERS.make_parts(run, stage, ["a", "b", "c"], progress)
    made(run, folder)
    assert len(progress.notes) == 1 and "was killed by SIGKILL: another takes its place" in progress.notes[0]
    assert progress.through == {f"learning {name}": 3 for name in "abc"}


def test_a_part_that_kills_its_workers_ends_the_command(run, folder, tmp_path):
    stage = Numbers(7, fatal="a", lives=99, deaths=tmp_path / "deaths")
    with pytest.raises(DsfactoryError, match="3 workers in a row died"):
        Local((None,)).make_parts(run, stage, ["a"], Counting())


@pytest.mark.parametrize("engine", [IN_PROCESS, WORKERS], ids=["inline", "processes"])
def test_a_signal_is_heard_between_two_steps(run, folder, engine, monkeypatch):
    monkeypatch.setattr(signals, "_received", ["SIGTERM"])
    with pytest.raises(StopSignal):
        engine.make_parts(run, Numbers(7, seconds=0.1), ["a", "b"], Counting())
    assert not list(folder.iterdir())


@pytest.mark.parametrize("engine", [IN_PROCESS, WORKERS], ids=["inline", "processes"])
def test_a_damaged_shard_that_a_part_reads_ends_the_command(run, folder, engine):
    with pytest.raises(DamagedShard, match=r"^00001.tar: is missing$"):
        engine.make_parts(run, Numbers(mistake="damage"), ["a", "b"], Counting())


def test_no_parts_start_no_process(run):
    WORKERS.make_parts(run, Numbers(mistake="not loaded"), [], Counting())
