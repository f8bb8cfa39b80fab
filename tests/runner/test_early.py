"""Workers that load a stage before there is anything for it to do."""

import multiprocessing
import os
import signal

import pytest

from dsfactory.errors import UserError
from dsfactory.runner.executors import IN_PROCESS, Local
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.progress import Silent
from tests.command import tree
from tests.runner.toys import Counting, Numbers, Squares, Together, make, size, steps, wait_for


@pytest.fixture
def engine():
    return Local((None, None))


def run_early(engine, run, stage, progress, between=lambda: None):
    (step,) = steps(stage)
    with engine.preparing(run, step, UNLIMITED):
        between()
        return engine.run(run, [step], progress, UNLIMITED)[0]


def test_they_load_before_there_is_a_task_and_make_the_same(engine, run, expected, tmp_path):
    stage, progress = Numbers(loads=tmp_path / "loads"), Counting()

    def between():
        assert len(multiprocessing.active_children()) == 2
        wait_for(lambda: size(tmp_path / "loads") == 2)
        assert run.stage_state("numbers") is None

    summary = run_early(engine, run, stage, progress, between)
    assert size(tmp_path / "loads") == 2
    assert (summary.made, progress.through["numbers"], progress.notes) == (22, 22, [])
    make(run, Numbers(), Squares())
    assert tree(run.path) == expected
    assert multiprocessing.active_children() == []


def test_both_that_were_started_are_used(engine, run, tmp_path):
    assert run_early(engine, run, Together(loads=tmp_path / "loads"), Silent()).made == 22
    assert size(tmp_path / "loads") == 2


def test_another_stage_leaves_them_alone(engine, run, tmp_path):
    """This process makes the stage before; the engine may be asked to do it."""
    make(run, Numbers())
    numbers, squares = steps(Numbers(), Squares())
    run.grow(30, 4)

    class Quick(Numbers):
        inline = True

    with engine.preparing(run, squares, UNLIMITED):
        pids = {child.pid for child in multiprocessing.active_children()}
        engine.run(run, steps(Quick()), Silent(), UNLIMITED)
        assert {child.pid for child in multiprocessing.active_children()} == pids
        assert engine.run(run, [squares], Silent(), UNLIMITED)[0].made == 30
    assert numbers.mark == steps(Quick())[0].mark


def test_those_that_nobody_took_end_with_the_block(engine, run, tmp_path):
    with engine.preparing(run, steps(Numbers(loads=tmp_path / "loads"))[0], UNLIMITED):
        assert len(multiprocessing.active_children()) == 2
        wait_for(lambda: size(tmp_path / "loads"))
    assert multiprocessing.active_children() == []


def test_one_that_died_while_it_waited_is_replaced(engine, run):
    def between():
        child = min(multiprocessing.active_children(), key=lambda child: child.name)
        os.kill(child.pid, signal.SIGKILL)
        child.join()

    progress = Counting()
    assert run_early(engine, run, Numbers(), progress, between).made == 22
    assert progress.notes == ["numbers: worker 1 was killed by SIGKILL: another takes its place"]


def test_a_mistake_while_they_load_ends_the_command_with_its_line(engine, run):
    def between():
        for child in multiprocessing.active_children():
            child.join()

    with pytest.raises(UserError, match=r"^the model is damaged$"):
        run_early(engine, run, Numbers(mistake="the model is damaged"), Silent(), between)


def test_no_more_than_there_are_shards_that_may_be_made(run):
    engine, (step,) = Local((None,) * 9), steps(Numbers())
    with engine.preparing(run, step, UNLIMITED):
        assert len(multiprocessing.active_children()) == len(run.shards())
    for one, limits in ((engine, Limits(max_gb=1e-9)), (IN_PROCESS, UNLIMITED)):
        with one.preparing(run, step, limits):
            assert multiprocessing.active_children() == []
    make(run, Numbers())
    with engine.preparing(run, step, UNLIMITED):
        assert multiprocessing.active_children() == []
