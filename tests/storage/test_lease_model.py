"""The rule of the lock in a bucket, in every order of its steps, at the size that a minute allows."""

import pytest

from research.lease_model import search


@pytest.mark.long
def test_the_rule_keeps_its_promises():
    found = search(processes=2, sleeps=1, locks=2, rule="kept")
    assert found.fault is None
    assert found.states > 10_000 and found.depth > 20


def test_the_model_finds_what_was_wrong_before():
    found = search(processes=2, sleeps=1, locks=2, rule="deleted")
    assert found.fault == "two processes are sure that they hold the lock"
    assert sum(process.sure for process in found.path[-1].processes) == 2
    assert any(process.asleep for state in found.path for process in state.processes)
