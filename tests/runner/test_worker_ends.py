"""Workers that end before their time: whatever the moment, the command goes on and its summary is whole."""

import multiprocessing
import os
import signal
import time

from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.processes import Crew, run_workers
from dsfactory.runner.progress import Silent
from dsfactory.runner.scheduler import claim_stage, run_stage
from dsfactory.runner.stream import Follower
from dsfactory.runner.worker import POLL_S
from tests.command import tree
from tests.runner.toys import Counting, LastWords, Numbers, Squares, wait_for, work_cut_short


def test_killed_while_it_waits_for_an_answer(run):
    class Deadly(Limits):
        def reached(self, run, stage, made, in_hand=0):
            if made == 0:
                for child in multiprocessing.active_children():
                    child.kill()
                    child.join()

    progress = Counting()
    summary = run_workers(run, [Numbers()], progress, limits=Deadly())
    assert (summary.made, progress.through["numbers"]) == (22, 22)
    assert progress.notes == ["numbers: worker 1 was killed by SIGKILL: another takes its place"]


def test_killed_in_the_middle_of_a_message(run, monkeypatch):
    monkeypatch.setattr("dsfactory.runner.processes.work", work_cut_short)
    progress = Counting()
    assert run_workers(run, [Numbers()], progress).made == 22
    assert progress.notes == ["numbers: worker 1 was killed by SIGKILL: another takes its place"]


def test_killed_when_a_shard_is_finished_and_nobody_knows(run, expected, tmp_path):
    run_stage(run, Numbers(), Silent())
    progress = Counting()
    summary = run_workers(run, [LastWords(died=tmp_path / "died")], progress)
    assert len(progress.notes) == 1 and "was killed by SIGKILL" in progress.notes[0]
    assert (summary.samples, summary.made, progress.through["squares"]) == (22, 22, 22)
    assert (summary.statuses, summary.reasons) == ({"ok": 11, "failed": 11}, {"it is odd": 11})
    assert tree(run.path) == expected


def test_interrupted_by_the_terminal_as_it_starts(run, capfd):
    progress = Counting()
    with Crew(run, [Numbers()], claim_stage(run, Numbers()), progress, UNLIMITED) as crew:
        os.kill(crew._members[0].started.process.pid, signal.SIGINT)
        crew.supervise()
    assert (crew.summary.made, progress.notes, capfd.readouterr().err) == (22, [], "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_told_to_stop_while_the_main_thread_cannot_hear_whether_all_are(run, expected):
    """One worker is told before it listens to signals, the other one after it has made a shard."""
    progress = Counting()

    class Stopping(Numbers):
        def process(self, shard, upstream):
            if shard.index == 3:
                wait_for(lambda: run.finished("squares"))
                os.kill(crew._members[0].started.process.pid, signal.SIGTERM)
                wait_for(lambda: not crew._members)
                time.sleep(2 * POLL_S)
                assert not crew._members and not progress.notes
            yield from super().process(shard, upstream)

    with Follower(run, [Squares()] * 2, claim_stage(run, Numbers()), progress, UNLIMITED) as follower:
        crew = follower._crew
        os.kill(crew._members[0].started.process.pid, signal.SIGTERM)
        wait_for(lambda: len(crew._members) == 1)
        squares = follower.finish(run_stage(run, Stopping(), progress))
    assert sorted(progress.notes) == [
        "squares: worker 1 was killed by SIGTERM: another takes its place",
        "squares: worker 2 ended with exit code 5: another takes its place",
    ]
    assert (squares.made, progress.through["squares"]) == (22, 22)
    assert tree(run.path) == expected
