"""``--engine ray`` on a cluster of several nodes on this machine: a node is killed in the middle, nothing is lost."""

import time

import pytest

from tests.command import run_tiny, tree

pytest.importorskip("ray", reason="needs pip install 'dsfactory[ray]'")

pytestmark = pytest.mark.slow  # Ray's nodes and workers take minutes of a busy core, and Ray is 240 MB to install

RUN = ["run", "--num", "7", "--shard-size", "2", "--out", "a", "--set", "refine.min_box=0", "--format", "coco"]


@pytest.fixture
def cluster(monkeypatch):
    """A head and another node, each with a CPU."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray's own 15 lets other tests on the core starve it
    settings = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=settings)
    yield cluster, cluster.add_node(**settings)
    cluster.shutdown()


def finished(folder, stage):
    return len(list((folder / "a" / stage).glob("*.parquet")))


def test_a_node_is_lost_in_the_middle(tiny_model, tmp_path, cluster):
    ray, node = cluster
    alone = tmp_path / "alone"
    shared = tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()
    child = run_tiny(tiny_model, *RUN, "--engine", "ray", "--address", ray.address, cwd=shared, wait=False)
    end = time.monotonic() + 900
    while finished(shared, "generate") < 2:
        if child.poll() is not None or time.monotonic() > end:
            child.kill()
            raise AssertionError(child.communicate()[1])
        time.sleep(0.05)
    ray.remove_node(node, allow_graceful=False)
    errors = child.communicate(timeout=1500)[1]
    assert child.returncode == 0, errors
    assert run_tiny(tiny_model, *RUN, cwd=alone).returncode == 0
    assert tree(shared / "a") == tree(alone / "a")
