"""``--engine ray`` on a cluster of several nodes on this machine: a node is killed in the middle, nothing is lost."""

import json
import signal
import time

import pytest

from tests.command import run_tiny, tree

pytest.importorskip("ray", reason="needs pip install 'dsfactory[ray]'")

pytestmark = pytest.mark.slow  # Ray's nodes and workers take minutes of a busy core, and Ray is 240 MB to install

RUN = ["run", "--num", "7", "--shard-size", "2", "--out", "a", "--set", "refine.min_box=0", "--format", "coco"]
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture
def cluster(monkeypatch):
    """A head without a GPU; tests add nodes. A "GPU" is what Ray counts as one: the stages compute on the CPU."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray's own 15 lets other tests on the core starve it
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def folders(tmp_path):
    for name in ("alone", "shared"):
        (tmp_path / name).mkdir()
    return tmp_path / "alone", tmp_path / "shared"


def finished(folder, stage):
    return len(list((folder / "a" / stage).glob("*.parquet")))


def shards_logged(folder, stage):
    lines = [json.loads(line) for line in (folder / "a" / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "shard" and line["stage"] == stage]


def begin(tiny_model, ray, folder, shards):
    """Start the command, and wait until it has drawn so many shards."""
    child = run_tiny(tiny_model, *RUN, "--engine", "ray", "--address", ray.address, cwd=folder, wait=False)
    end = time.monotonic() + 900
    while finished(folder, "generate") < shards:
        if child.poll() is not None or time.monotonic() > end:
            child.kill()
            raise AssertionError(child.communicate()[1])
        time.sleep(0.05)
    return child


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_node_is_lost_in_the_middle(tiny_model, folders, cluster, gpus):
    alone, shared = folders
    nodes = [cluster.add_node(**NODE, num_gpus=gpus) for _ in range(1 + gpus)]
    child = begin(tiny_model, cluster, shared, 2)
    cluster.remove_node(nodes[0], allow_graceful=False)
    errors = child.communicate(timeout=1500)[1]
    assert child.returncode == 0, errors
    assert run_tiny(tiny_model, *RUN, cwd=alone).returncode == 0
    assert tree(shared / "a") == tree(alone / "a")


def test_in_a_bucket_a_node_is_lost_in_the_middle(tiny_model, folders, s3, cluster):
    """Nodes share no folder then; the dataset is exported from what they uploaded."""
    alone, elsewhere = folders
    bucket = s3.bucket()
    nodes = [cluster.add_node(**NODE, num_gpus=1) for _ in range(2)]
    there = ["--out", f"s3://{bucket}/runs/a", "--engine", "ray", "--address", cluster.address]
    child = run_tiny(tiny_model, *RUN, *there, cwd=elsewhere, wait=False)
    s3.wait_for(bucket, "runs/a/generate/00001.parquet", 900)
    cluster.remove_node(nodes[0], allow_graceful=False)
    errors = child.communicate(timeout=1500)[1]
    assert child.returncode == 0, errors
    assert run_tiny(tiny_model, *RUN, cwd=alone).returncode == 0
    stored = s3.objects(bucket, "runs/a")
    assert {name: data for name, data in stored.items() if name != "log.jsonl"} == tree(alone / "a")


def test_a_gpu_keeps_its_process_and_refine_works_beside_it(tiny_model, folders, cluster):
    """So that the model is loaded once, not for every shard, and the GPU waits for nobody."""
    _, shared = folders
    cluster.add_node(**NODE, num_gpus=1)
    longer = ["--num", "30", "--shard-size", "1", "--steps", "25"]  # than another process takes to start
    done = run_tiny(tiny_model, *RUN, *longer, "--engine", "ray", "--address", cluster.address, cwd=shared)
    assert done.returncode == 0, done.stderr
    drawn, refined = shards_logged(shared, "generate"), shards_logged(shared, "refine")
    assert len(drawn) == len(refined) == 60 and len({line["worker"] for line in drawn}) == 1
    assert refined[0]["time"] < drawn[-1]["time"]


def test_stopped_it_goes_on(tiny_model, folders, cluster):
    alone, shared = folders
    child = begin(tiny_model, cluster, shared, 1)
    child.send_signal(signal.SIGTERM)
    errors = child.communicate(timeout=300)[1]
    assert child.returncode == 5 and "Traceback" not in errors and "ignored" not in errors, errors
    assert finished(shared, "generate") < 7
    assert run_tiny(tiny_model, *RUN, cwd=shared).returncode == 0
    assert run_tiny(tiny_model, *RUN, cwd=alone).returncode == 0
    assert tree(shared / "a") == tree(alone / "a")
