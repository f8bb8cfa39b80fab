"""Runs of toy stages."""

import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run
from tests.command import tree
from tests.runner.toys import Numbers, Squares, make


@pytest.fixture
def run(tmp_path):
    with Run.claim(tmp_path / "run", (ClassSpec(name="dog"),), 0) as run:
        run.grow(22, 4)
        yield run


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The tree that one process makes."""
    path = tmp_path_factory.mktemp("expected") / "run"
    with Run.claim(path, (ClassSpec(name="dog"),), 0) as run:
        run.grow(22, 4)
        make(run, Numbers(), Squares())
    return tree(path)
