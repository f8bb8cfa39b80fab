"""The Ray executor on a cluster of several nodes on this machine: a node is killed in the middle, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run
from dsfactory.errors import DsfactoryError, UserError
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.log import run_log
from dsfactory.storage.mirror import open_mirror
from tests.command import tree
from tests.runner.toys import Counting, Deadly, Numbers, Squares, make, steps, wait_for

ray = pytest.importorskip("ray", reason="needs pip install 'dsfactory[ray]'")

pytestmark = pytest.mark.slow  # Ray's nodes and workers take minutes of a busy core, and Ray is 240 MB to install

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture
def cluster(monkeypatch):
    """A head without a GPU; tests add nodes. A "GPU" is what Ray counts as one: the stages compute on the CPU."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray's own 15 lets other tests on the core starve it
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def engine(cluster):
    from dsfactory.runner.ray import RayEngine

    return RayEngine(cluster.address)


def events(run, stage, event="shard"):
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event and line["stage"] == stage]


def later(reached, do):
    """In a thread, do something as soon as something is reached."""

    def watch():
        wait_for(reached)
        do()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("place", ["cpu", "cuda"])
def test_a_node_is_lost_in_the_middle(run, expected, cluster, engine, place):
    nodes = [cluster.add_node(**NODE, num_gpus=1) for _ in range(2)]
    progress = Counting()
    loss = later(lambda: run.finished("numbers"), lambda: cluster.remove_node(nodes[0], allow_graceful=False))
    numbers, squares = engine.run(
        run, steps(Numbers(seconds=0.3, place=place), Squares(seconds=0.1)), progress, UNLIMITED
    )
    loss.join()
    assert (numbers.made, squares.made, squares.waiting) == (22, 22, 0)
    assert progress.through == {"numbers": 22, "squares": 22}
    assert squares.statuses == {"ok": 11, "failed": 11}
    assert tree(run.path) == expected


def test_in_a_bucket_nodes_need_no_common_folder(s3, cluster, engine, expected):
    bucket = s3.bucket()
    cluster.add_node(**NODE)
    with open_mirror(f"s3://{bucket}/runs/a", "run") as root, Run.claim(root, (ClassSpec(name="dog"),), 0) as run:
        run.grow(22, 4)
        engine.run(run, steps(Numbers(), Squares()), Counting(), UNLIMITED)
        engine.make_parts(run, Numbers(7), [], Counting())
    stored = s3.objects(bucket, "runs/a")
    assert {name: data for name, data in stored.items() if not name.startswith(".lock")} == expected


def test_a_gpu_keeps_its_process_and_the_next_stage_works_beside_it(run, cluster, engine):
    """So that the model is loaded once, not for every shard, and the GPU waits for nobody."""
    cluster.add_node(**NODE, num_gpus=1)
    run.grow(122, 4)
    with run_log(run.path, "test"):
        engine.run(run, steps(Numbers(seconds=0.15, place="auto"), Squares()), Counting(), UNLIMITED)
    first, second = events(run, "numbers"), events(run, "squares")
    assert len(first) == len(second) == 31 and len({line["worker"] for line in first}) == 1
    assert second[0]["time"] < first[-1]["time"]


def test_parts_are_made_by_nodes(run, cluster, engine):
    run.make_stage_folder("numbers")
    progress = Counting()
    engine.make_parts(run, Numbers(7), ["a", "b", "c"], progress)
    assert str(os.getpid()) not in (run.path / "who.txt").read_text().split()
    assert sorted(path.name for path in run.stage_folder("numbers").iterdir()) == ["a.txt", "b.txt", "c.txt"]
    assert progress.through == {"numbers": 3}


def test_a_mistake_and_a_loss_without_end_are_told_in_one_line(run, cluster, engine):
    with pytest.raises(UserError, match=r"^node \S+: no such model$"):
        engine.run(run, steps(Numbers(mistake="no such model")), Counting(), UNLIMITED)
    progress = Counting()
    with pytest.raises(DsfactoryError, match=r"^squares: shard \d+ was lost 6 times with its worker \(WorkerCrashed"):
        engine.run(run, steps(Numbers(), Deadly()), progress, UNLIMITED)
    assert len(run.finished("numbers")) == 6 and progress.notes[-1].startswith("squares goes on later")


def test_a_damaged_shard_is_left_out(run, cluster, engine):
    make(run, Numbers())
    os.truncate(run.path / "numbers" / "00001.parquet", 10)
    progress = Counting()
    (summary,) = engine.run(run, steps(Numbers(), Squares())[1:], progress, UNLIMITED)
    assert (summary.made, len(summary.damaged), len(progress.notes)) == (18, 1, 1)


def test_without_a_node_it_waits_until_one_comes(run, cluster, engine):
    class Adding(Counting):
        def note(self, line):
            super().note(line)
            cluster.add_node(**NODE, num_gpus=1)

    progress = Adding()
    assert engine.run(run, steps(Numbers(place="cuda")), progress, UNLIMITED)[0].made == 22
    assert progress.notes == ["numbers: the cluster has no GPU now: waiting for a node that has one"]


def test_a_limit_ends_the_wait_for_a_node(run, cluster, engine):
    class Impatient(Limits):
        def reached(self, run, stage, made, in_hand=0, made_here=True):
            looks.append(made)
            return Limits(max_gb=0).reached(run, stage, made) if len(looks) > 3 else None

    looks = []
    (summary,) = engine.run(run, steps(Numbers(place="cuda")), Counting(), Impatient())
    assert summary.made == 0 and summary.stopped is not None


def test_stopped_it_goes_on(run, cluster, expected):
    code = (
        "import sys; from pathlib import Path; from tests.runner.toys import *\n"
        "from dsfactory.runner.ray import RayEngine; from dsfactory.runner.signals import stop_on_signals\n"
        "from dsfactory.errors import StopSignal; stop_on_signals(); run = Run.open(Path(sys.argv[1]))\n"
        "try: RayEngine(sys.argv[2]).run(run, steps(Numbers(seconds=0.5), Squares()), Silent(), UNLIMITED)\n"
        "except StopSignal as error: sys.exit(error.exit_code)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path), cluster.address], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: run.finished("numbers") or child.poll() is not None)
    start = time.monotonic()
    child.send_signal(signal.SIGTERM)
    errors = child.communicate(timeout=60)[1]
    assert child.returncode == 5 and "Traceback" not in errors and "ignored" not in errors, errors
    assert time.monotonic() - start < 30
    assert len(run.finished("numbers")) < 6
    make(run, Numbers(), Squares())
    assert tree(run.path) == expected
