"""How long a command would take: by the run's log, by how many work at once, and by what is done beside what."""

import json
import shutil

import pytest

from dsfactory.jobs.pace import by_workers, read_pace, training_name
from dsfactory.runner.executors import IN_PROCESS, Local
from tests.jobs.test_job import drawn, flags, run_path  # noqa: F401 -- fixtures
from tests.making import GENERATE, RUN, planned

PACE = {"prompts": 1.0, "generate": 10.0, "refine": 4.0}
"""Seconds per sample."""

MORE = {"num": 10, "generate": {"device": "cpu"}}
"""16 samples in 8 shards more than there are."""


class Cluster(Local):
    """Where nobody knows how many work on a stage."""

    def workers(self, stage, following=None):
        return None

    def auto_dtype(self, device, progress):
        raise AssertionError("no plan asks the nodes")

    text_device = auto_dtype


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
        (Local((None,) * 4), [16, 40, 16], 16 + 40),
        (Local((None,) * 100), [16, 20, 8], 16 + 20),
        (Cluster(), [16, 160, 64], 16 + 160),
    ],
)
def test_workers_share_the_work_and_refining_goes_on_beside_drawing(paced, engine, seconds, whole):
    found = planned(RUN, paced, MORE, engine=engine)
    assert [stage.seconds for stage in found.stages] == seconds
    assert found.seconds() == whole


def test_the_slower_one_of_two_stages_decides(paced):
    write_log(paced, {"refine": 36.0})
    assert planned(RUN, paced, MORE).seconds() == 16 + 16 * 20


def test_the_words_say_how_many_work(paced):
    lines = planned(RUN, paced, MORE, engine=Local((None,) * 4)).in_words()
    assert lines[2].endswith("; about 40 s at this run's pace so far, 4 at once")
    assert lines[4].endswith("of disk and 56 s")
    lines = planned(GENERATE, paced, MORE, engine=Cluster()).in_words()
    assert lines[2].endswith("; about 3 min at this run's pace so far of one worker")
    assert lines[3].endswith("of disk and 3 min of one worker")


def test_worker_processes_have_a_pace_of_their_own(paced):
    """They compute with one thread each."""
    write_log(paced, {"generate": 15.0}, worker=1)
    several = planned(GENERATE, paced, MORE, engine=Local((None,) * 4))
    assert several.stages[1].seconds == 60
    assert planned(GENERATE, paced, MORE).stages[1].seconds == 200


def test_refining_with_workers(paced):
    shutil.rmtree(paced / "refine")
    for count, seconds in ((1, 16), (2, 8), (3, 8)):  # there are two shards
        (found,) = planned("refine", paced, engine=Local((None,) * count)).stages
        assert (found.seconds, found.workers) == (seconds, min(count, 2))


def test_the_pace_is_read_from_whatever_lines_are_whole(tmp_path):
    log = tmp_path / "log.jsonl"
    assert read_pace(log) == {}
    lines = [
        {"event": "shard", "stage": "refine", "samples": 4, "seconds": 2.0},
        {"event": "shard", "stage": "refine", "samples": 4, "seconds": 6.0, "worker": 2},
        {"event": "exported", "format": "coco", "samples": 10, "seconds": 1.0},
        {"event": "training", "side": 32, "batch_size": 4, "steps": 5, "seconds": 10.0},
        {"event": "shard", "stage": "refine", "samples": "many"}, {"event": "end"}, 7,
    ]  # fmt: skip
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "sh')
    assert read_pace(log) == {
        "refine": 1.0, by_workers("refine"): 1.5, "export coco": 0.1, training_name(32, 4, None): 2.0,
    }  # fmt: skip
