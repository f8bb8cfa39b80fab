"""How long a command would take: by the run's log, by how many work at once, and by what is done beside what."""

import json
import shutil

import pytest

from dsfactory.jobs.dry_runs import estimate_generate, estimate_refine
from dsfactory.jobs.estimate import in_words
from dsfactory.runner.executors import IN_PROCESS, Workers
from dsfactory.runner.progress import Silent
from tests.jobs.test_job import drawn, flags, run_path  # noqa: F401 -- fixtures

PACE = {"prompts": 1.0, "generate": 10.0, "refine": 4.0}
"""Seconds per sample."""

MORE = {"num": 10, "generate": {"device": "cpu"}}
"""16 samples in 8 shards more than there are."""


class Cluster:
    """Where nobody knows how many work on a stage."""


def write_log(path, pace, **more):
    lines = [
        {"event": "shard", "stage": name, "samples": 2, "seconds": 2 * each, **more} for name, each in pace.items()
    ]
    with (path / "log.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def paced(run_path):  # noqa: F811
    (run_path / "log.jsonl").unlink()
    write_log(run_path, PACE)
    return run_path


@pytest.mark.parametrize(
    ("engine", "seconds", "whole"),
    [
        (IN_PROCESS, [16, 160, 64], 16 + 160),
        (Workers((None,) * 4), [16, 40, 16], 16 + 40),
        (Workers((None,) * 100), [16, 20, 8], 16 + 20),
        (Cluster(), [16, 160, 64], 16 + 160),
    ],
)
def test_workers_share_the_work_and_refining_goes_on_beside_drawing(paced, engine, seconds, whole):
    found = estimate_generate(paced, None, MORE, Silent(), formats=(), engine=engine)
    assert [stage.seconds for stage in found.stages] == seconds
    assert found.seconds() == whole


def test_the_slower_one_of_two_stages_decides(paced):
    write_log(paced, {"refine": 36.0})
    assert estimate_generate(paced, None, MORE, Silent(), formats=()).seconds() == 16 + 16 * 20


def test_the_words_say_how_many_work(paced):
    lines = in_words(estimate_generate(paced, None, MORE, Silent(), formats=(), engine=Workers((None,) * 4)))
    assert lines[2].endswith("; about 40 s at this run's pace so far, 4 at once")
    assert lines[4].endswith("of disk and 56 s")
    lines = in_words(estimate_generate(paced, None, MORE, Silent(), engine=Cluster()))
    assert lines[2].endswith("; about 3 min at this run's pace so far of one worker")
    assert lines[3].endswith("of disk and 3 min of one worker")


def test_worker_processes_have_a_pace_of_their_own(paced):
    """They compute with one thread each."""
    write_log(paced, {"generate": 15.0}, worker=1)
    several = estimate_generate(paced, None, MORE, Silent(), engine=Workers((None,) * 4))
    assert several.stages[1].seconds == 60
    assert estimate_generate(paced, None, MORE, Silent()).stages[1].seconds == 200


def test_refining_with_workers(paced):
    shutil.rmtree(paced / "refine")
    for count, seconds in ((1, 16), (2, 8), (3, 8)):  # there are two shards
        (found,) = estimate_refine(paced, None, {}, engine=Workers((None,) * count)).stages
        assert (found.seconds, found.workers) == (seconds, min(count, 2))
