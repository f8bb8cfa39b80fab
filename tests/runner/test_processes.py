"""Several worker processes: the same bytes as one process, whatever dies on the way."""

import json
import multiprocessing
import os
import signal

import pytest

from dsfactory.errors import DsfactoryError, UserError
from dsfactory.runner.executors import IN_PROCESS, Local
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.log import run_log
from dsfactory.runner.processes import MAX_DEATHS, Processes, Team
from dsfactory.runner.progress import Silent
from dsfactory.runner.scheduler import carry_out, works_of
from tests.command import tree
from tests.runner.toys import Counting, LastWords, Numbers, Squares, make, serve_cut_short, size, steps

ONE, TWO, THREE = (Local((None,) * count) for count in (1, 2, 3))


@pytest.mark.long
def test_the_bytes_and_the_summary_are_those_of_one_process(run, expected):
    progress = Counting()
    numbers = make(run, Numbers(seconds=0.02), engine=TWO, progress=progress)
    squares = make(run, Numbers(), Squares(), engine=THREE, progress=progress)
    assert (numbers.samples, numbers.made, squares.made) == (22, 22, 22)
    assert squares.statuses == {"ok": 11, "failed": 11}
    assert squares.reasons == {"it is odd": 11}
    assert progress.through == {"numbers": 22, "squares": 22}
    assert tree(run.path) == expected
    assert multiprocessing.active_children() == []


def test_all_workers_work(run):
    with run_log(run.path, "test"):
        make(run, Numbers(seconds=0.1), engine=TWO)
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    shards = [(line["shard"], line["worker"]) for line in lines if line["event"] == "shard"]
    assert sorted(shard for shard, _ in shards) == list(range(6))
    assert {worker for _, worker in shards} == {1, 2}


@pytest.mark.long
def test_what_a_killed_worker_had_in_hand_is_made_by_another(run, expected, tmp_path):
    fatal = Numbers(seconds=0.06, fatal=2, lives=1, deaths=tmp_path / "deaths")
    progress = Counting()
    summary = make(run, fatal, engine=TWO, progress=progress)
    assert (summary.made, progress.through["numbers"]) == (22, 22)
    assert any("was killed by SIGKILL: another takes its place" in line for line in progress.notes)
    make(run, Numbers(), Squares(), engine=ONE)
    assert tree(run.path) == expected


def test_workers_that_keep_dying_end_the_command_and_keep_what_is_finished(run, tmp_path):
    fatal = Numbers(fatal=1, lives=99, deaths=tmp_path / "deaths")
    with pytest.raises(DsfactoryError, match=r"3 workers in a row died, the last one was killed by SIGKILL.*fewer"):
        make(run, fatal, engine=ONE)
    assert size(tmp_path / "deaths") == MAX_DEATHS
    assert [spec.index for spec in run.finished("numbers")] == [0]
    left = sorted(path.name for path in (run.path / "numbers").iterdir())
    assert left == ["00000.parquet", "00000.tar", "stage.json"]
    assert make(run, Numbers(), engine=ONE).made == 18


@pytest.mark.long
def test_a_shard_that_is_finished_in_between_is_another_row(run, tmp_path):
    fatal = Numbers(fatal=1, lives=MAX_DEATHS - 1, deaths=tmp_path / "deaths")
    assert make(run, fatal, engine=ONE).made == 22


def test_a_worker_s_mistake_ends_the_command_with_its_line(run):
    with pytest.raises(UserError, match=r"^no such model$"):
        make(run, Numbers(mistake="no such model"), engine=TWO)
    with pytest.raises(RuntimeError, match=r"(?s)toys.py.*KeyError: 'a bug'"):
        make(run, Numbers(mistake="bug"), engine=ONE)


def test_a_finished_stage_starts_no_process(run):
    make(run, Numbers())
    before = tree(run.path)
    assert make(run, Numbers(mistake="must not be loaded"), engine=TWO).made == 0
    assert tree(run.path) == before


def test_no_more_processes_than_shards(run):
    (work,) = works_of(run, steps(Numbers()), Silent(), UNLIMITED)
    with Processes(Team(work, [Numbers()] * 9)):
        assert len(multiprocessing.active_children()) == len(run.shards())


@pytest.mark.long
def test_a_limit_stops_all_workers_at_a_shard(run, expected):
    class Twice(Limits):
        def reached(self, run, stage, made, in_hand=0, made_here=True):
            asked.append((made, in_hand))
            return Limits(max_gb=0).reached(run, stage, made) if made == 3 else None

    asked = []
    stopped = make(run, Numbers(seconds=0.05), engine=TWO, limits=Twice())
    assert stopped.stopped is not None and stopped.made == 12
    assert asked == [(0, 0), (1, 1), (2, 1), (3, 1)]
    assert stopped.made == sum(len(spec) for spec in run.finished("numbers"))
    none = make(run, Numbers(), engine=TWO, limits=Limits(max_gb=0))
    assert (none.made, "may have 0" in none.stopped.reason) == (0, True)
    make(run, Numbers(), engine=TWO)
    make(run, Numbers(), Squares(), engine=ONE)
    assert tree(run.path) == expected


def test_an_inline_stage_is_made_by_this_process(run):
    class Quick(Numbers):
        inline = True

    stage = Quick()
    assert make(run, stage, engine=TWO).made == 22 and stage.processed == list(range(6))
    assert TWO.workers(stage) == 1 and TWO.workers(Numbers()) == 2 and IN_PROCESS.workers(Numbers()) == 1


def test_killed_before_it_hears_what_to_make(run):
    class Deadly(Limits):
        def reached(self, run, stage, made, in_hand=0, made_here=True):
            if made == 0:
                for child in multiprocessing.active_children():
                    child.kill()
                    child.join()

    progress = Counting()
    summary = make(run, Numbers(), engine=ONE, progress=progress, limits=Deadly())
    assert (summary.made, progress.through["numbers"]) == (22, 22)
    assert progress.notes == ["numbers: worker 1 was killed by SIGKILL: another takes its place"]


def test_killed_in_the_middle_of_a_message(run, monkeypatch):
    monkeypatch.setattr("dsfactory.runner.processes.serve", serve_cut_short)
    progress = Counting()
    assert make(run, Numbers(), engine=ONE, progress=progress).made == 22
    assert progress.notes == ["numbers: worker 1 was killed by SIGKILL: another takes its place"]


def test_killed_when_a_shard_is_finished_and_nobody_knows(run, expected, tmp_path):
    make(run, Numbers())
    progress = Counting()
    squares = steps(Numbers(), LastWords(died=tmp_path / "died"))[1:]
    (summary,) = ONE.run(run, squares, progress, UNLIMITED)
    assert len(progress.notes) == 1 and "was killed by SIGKILL" in progress.notes[0]
    assert (summary.samples, summary.made, progress.through["squares"]) == (22, 22, 22)
    assert (summary.statuses, summary.reasons) == ({"ok": 11, "failed": 11}, {"it is odd": 11})
    assert tree(run.path) == expected


def test_interrupted_by_the_terminal_as_it_starts(run, capfd):
    progress = Counting()
    (work,) = works_of(run, steps(Numbers()), progress, UNLIMITED)

    class Interrupted(Processes):
        def __enter__(self):
            entered = super().__enter__()
            os.kill(self._members[0].started.process.pid, signal.SIGINT)
            return entered

    carry_out([work], Interrupted(Team(work, [Numbers()])))
    assert (work.finish().made, progress.notes, capfd.readouterr().err) == (22, [], "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
