"""The lock of a place in a bucket, on a real S3-speaking server."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from dsfactory.errors import RunLocked
from dsfactory.storage import lease as leases
from dsfactory.storage.lease import Holder, Lease
from dsfactory.storage.store import Store

ELSEWHERE = replace(Holder.this_process(), host="elsewhere", machine="another machine", pid=4711, token="x")


@pytest.fixture
def store(s3):
    return Store(f"s3://{s3.bucket()}/runs/a")


def locks(store):
    return sorted(name for name in store.entries() if name.startswith(".lock"))


def leave(store, number, **changes):
    """A lock of a process on another machine."""
    store.write(f".lock.{number:06d}", replace(ELSEWHERE, **changes).as_bytes())


def test_a_lock_is_held_by_one_and_gone_afterwards(store):
    with Lease(store, ".lock"):
        assert locks(store) == [".lock.000001"]
        with pytest.raises(RunLocked, match=rf"in use by process {os.getpid()} on "), Lease(store, ".lock"):
            pass
        assert locks(store) == [".lock.000001"]
    assert store.read(".lock.000001") == b""
    with Lease(store, ".lock"):
        assert locks(store) == [".lock.000002"]


def test_a_live_lock_of_another_machine_is_named(store):
    leave(store, 3, beat=time.time() - 5)
    with pytest.raises(RunLocked, match="process 4711 on elsewhere"), Lease(store, ".lock"):
        pass
    assert locks(store) == [".lock.000003"]


def test_a_lock_without_signs_of_life_is_watched_and_taken_over(store, monkeypatch, capsys):
    monkeypatch.setattr(leases, "WATCH_S", 0.3)
    leave(store, 3, beat=time.time() - 1000)
    with Lease(store, ".lock"):
        assert locks(store) == [".lock.000004"]
    assert "may be gone" in capsys.readouterr().err


@pytest.mark.parametrize("ahead", [-1000, 1000])
def test_a_holder_whose_clock_is_wrong_keeps_its_lock(store, monkeypatch, ahead):
    monkeypatch.setattr(leases, "WATCH_S", 30.0)
    monkeypatch.setattr(leases, "BEAT_S", 0.3)
    leave(store, 3, beat=time.time() + ahead)
    timer = threading.Timer(0.5, leave, (store, 3), {"beat": time.time() + ahead + 15})
    timer.start()
    with pytest.raises(RunLocked, match="process 4711"), Lease(store, ".lock"):
        pass
    timer.join()


def test_a_process_of_this_machine_that_died_holds_nothing(store):
    code = (
        "import os, sys, signal; from dsfactory.storage.store import Store; from dsfactory.storage.lease import Lease;"
        "Lease(Store(sys.argv[1]), '.lock').__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, store.url], check=False).returncode == -9
    assert locks(store) == [".lock.000001"]
    with Lease(store, ".lock"):
        assert locks(store) == [".lock.000002"]


def test_a_pid_that_was_given_to_another_process_holds_nothing(store):
    store.write(".lock.000001", replace(Holder.this_process(), born="1").as_bytes())
    with Lease(store, ".lock"):
        pass


def test_signs_of_life_keep_coming(store, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    with Lease(store, ".lock"):
        first = json.loads(store.read(".lock.000001"))
        end = time.monotonic() + 60
        while json.loads(store.read(".lock.000001"))["beat"] == first["beat"]:
            assert time.monotonic() < end
    assert store.read(".lock.000001") == b""


def test_a_holder_that_slept_learns_that_another_took_over(store, monkeypatch):
    with Lease(store, ".lock") as lease:
        lease.check()
        leave(store, 2)
        lease.check()  # not asked while its own signs of life are fresh
        monkeypatch.setattr(leases, "LEASE_S", 0.0)
        with pytest.raises(RunLocked, match="taken over by another process"):
            lease.check()
    assert locks(store) == [".lock.000002"]


def test_a_holder_that_slept_while_another_came_and_went_learns_it(store, monkeypatch):
    with Lease(store, ".lock") as lease:
        leave(store, 2)
        store.delete([".lock.000001"])
        store.write(".lock.000002", b"")
        monkeypatch.setattr(leases, "LEASE_S", 0.0)
        with pytest.raises(RunLocked, match="taken over by another process"):
            lease.check()
    assert store.read(".lock.000002") == b""


def test_who_takes_over_sees_that_the_holder_woke_up(store, monkeypatch):
    monkeypatch.setattr(leases, "WATCH_S", 0.2)
    leave(store, 3, beat=time.time() - 1000)
    late = Lease(store, ".lock")
    create = late._create

    def wake_up() -> bool:
        created = create()
        leave(store, 3, beat=time.time())
        return created

    monkeypatch.setattr(late, "_create", wake_up)
    with pytest.raises(RunLocked, match="process 4711 on elsewhere"), late:
        pass
    assert locks(store) == [".lock.000003"]


def test_who_is_slower_finds_the_number_taken(store):
    slow = Lease(store, ".lock")
    seen = iter([(0, None)])
    newest = slow._newest
    slow._newest = lambda: next(seen, None) or newest()  # what it saw before the other one came
    with Lease(store, ".lock"), pytest.raises(RunLocked), slow:
        pass


def test_what_is_no_lock_of_ours_can_be_taken_over(store):
    store.write(".lock.000007", b"[[[")
    with Lease(store, ".lock"):
        assert locks(store) == [".lock.000008"]
