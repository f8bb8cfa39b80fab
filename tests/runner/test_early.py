"""Workers that prepare a stage before there is anything for it to do."""

import multiprocessing
import os
import signal

import pytest

from dsfactory.errors import UserError
from dsfactory.runner.early import EarlyWorkers
from dsfactory.runner.executors import Workers
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.processes import run_workers
from dsfactory.runner.progress import Silent
from dsfactory.runner.scheduler import run_stage
from tests.command import tree
from tests.runner.toys import Counting, Numbers, Squares, Together, wait_for


def size(path):
    return path.stat().st_size if path.exists() else 0


def test_they_prepare_before_there_is_a_task_and_make_the_same(run, expected, tmp_path):
    stages = [Numbers(prepared=tmp_path / "prepared")] * 2
    progress = Counting()
    with EarlyWorkers(stages) as early:
        pids = {child.pid for child in multiprocessing.active_children()}
        wait_for(lambda: size(tmp_path / "prepared") == 2)
        assert run.stage_state("numbers") is None
        summary = run_workers(run, stages, progress, early=early)
    assert len(pids) == 2 and size(tmp_path / "prepared") == 2
    assert (summary.made, progress.through["numbers"], progress.notes) == (22, 22, [])
    run_stage(run, Squares(), Silent())
    assert tree(run.path) == expected


def test_more_are_started_when_more_are_needed(run, tmp_path):
    stage = Together(prepared=tmp_path / "prepared")
    with EarlyWorkers([stage]) as early:
        assert run_workers(run, [stage] * 2, Silent(), early=early).made == 22
    assert size(tmp_path / "prepared") == 2


def test_an_engine_uses_those_that_it_started(run, tmp_path):
    stage, engine = Together(prepared=tmp_path / "prepared"), Workers((None, None))
    with engine.preparing(run, stage, UNLIMITED):
        wait_for(lambda: size(tmp_path / "prepared") == 2)
        assert engine.run_stage(run, stage, Silent(), False, UNLIMITED).made == 22
    assert size(tmp_path / "prepared") == 2


def test_those_that_nobody_took_end_with_the_block(run, tmp_path):
    with EarlyWorkers([Numbers(prepared=tmp_path / "prepared"), Numbers()]):
        assert len(multiprocessing.active_children()) == 2
        wait_for(lambda: size(tmp_path / "prepared"))
    assert multiprocessing.active_children() == []


def test_one_that_died_while_it_waited_is_replaced(run):
    progress = Counting()
    with EarlyWorkers([Numbers()]) as early:
        (child,) = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert run_workers(run, [Numbers()], progress, early=early).made == 22
    assert progress.notes == ["numbers: worker 1 was killed by SIGKILL: another takes its place"]


def test_a_mistake_while_they_prepare_ends_the_command_with_its_line(run):
    stage = Numbers(mistake="the model is damaged")
    with EarlyWorkers([stage]) as early, pytest.raises(UserError, match=r"^the model is damaged$"):
        (child,) = multiprocessing.active_children()
        child.join()
        run_workers(run, [stage], Silent(), early=early)


def test_no_more_than_there_are_shards_that_may_be_made(run):
    engine = Workers((None,) * 9)
    with engine.preparing(run, Numbers(), UNLIMITED):
        assert len(multiprocessing.active_children()) == len(run.shards())
    with engine.preparing(run, Numbers(), Limits(max_gb=1e-9)):
        assert multiprocessing.active_children() == []
    run_stage(run, Numbers(), Silent())
    with engine.preparing(run, Numbers(), UNLIMITED):
        assert multiprocessing.active_children() == []
