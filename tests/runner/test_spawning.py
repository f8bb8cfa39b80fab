"""What worker processes inherit."""

import os
import threading
import time

from dsfactory.runner.spawning import one_thread


def test_each_worker_has_one_thread_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == "4"


def test_two_threads_that_start_workers_do_not_take_each_other_s_setting_away(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen = []

    def start(seconds):
        with one_thread():
            time.sleep(seconds)
            seen.append(os.environ.get("OMP_NUM_THREADS"))

    threads = [threading.Thread(target=start, args=(seconds,)) for seconds in (0.1, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["1", "1"]
    assert "OMP_NUM_THREADS" not in os.environ
