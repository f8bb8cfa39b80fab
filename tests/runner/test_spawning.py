"""What worker processes inherit."""

import os

from dsfactory.runner.spawning import one_thread


def test_each_worker_has_one_thread_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == "4"
