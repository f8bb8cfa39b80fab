"""Which stage serves which, whatever their names and whichever has begun."""

import pytest

from dsfactory.core.run import Run
from dsfactory.core.space import space_of
from dsfactory.stages import STAGES
from tests.brought import bring
from tests.command import tree
from tests.making import make
from tests.stages.splice.runs import labelled_run

BEGUN = {"classes": "dog,bird", "num": 2, "shard_size": 2}


@pytest.fixture(autouse=True)
def brought(monkeypatch):
    """The stages squares (a source), glow (a judge) and echo (a composer) beside dsfactory's own."""
    bring(monkeypatch)


def kinds_served(path):
    """What the stages of a run read, by folder."""
    run = Run.open(path)
    begun = STAGES.begun(run)
    marks = {item.state.fingerprint: item.kind.folder for item in begun}
    return {item.kind.folder: [marks[mark] for mark in item.state.upstream.split(",") if mark] for item in begun}


def test_stages_stand_in_the_order_of_the_pipeline():
    """Sources come first, then those that label, judge, and compose; dsfactory's own before those of others."""
    assert STAGES.folders == ("prompts", "generate", "adopt", "squares", "refine", "filter", "glow", "splice", "echo")


def test_a_brought_source_serves_whatever_comes_after_it(tmp_path):
    path = tmp_path / "a"
    make("squares", path, BEGUN)
    for name in ("glow", "splice", "echo"):
        make(name, path, {"splice": {"num": 2, "mix": "1x2", "val_share": 0}})
    assert kinds_served(path) == {"squares": [], "glow": ["squares"], "splice": [], "echo": []}
    before = tree(path)
    for name in ("squares", "glow", "splice", "echo"):
        assert make(name, path).stages[-1].made == 0
    assert tree(path) == before
    run = Run.open(path)
    assert all(space_of(run, STAGES[name]).total == count for name, count in (("splice", 2), ("echo", 3)))


def test_what_comes_later_does_not_serve_a_stage_that_has_not_begun(tmp_path):
    """Whether a stage was begun before or after another one, it reads the same."""
    path = labelled_run(tmp_path / "a", 4)
    make("glow", path)
    make("echo", path)
    before = {kind.folder: [item.kind.folder for item in STAGES.begun(Run.open(path), before=kind)] for kind in STAGES}
    assert before == {
        "prompts": [], "generate": [], "adopt": ["generate"], "squares": ["generate"], "refine": ["generate"],
        "filter": ["generate", "refine"], "glow": ["generate", "refine"],
        "splice": ["generate", "refine", "glow"], "echo": ["generate", "refine", "glow"],
    }  # fmt: skip
    assert kinds_served(path)["glow"] == ["generate"]
