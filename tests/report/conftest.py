"""A run in which everything has happened, and its report."""

from pathlib import Path

import pytest

from dsfactory.report.job import report_job
from dsfactory.runner.progress import Silent
from tests.report.made_run import made_run


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 samples of two classes through filter: 6 kept, 2 rejected, 2 failed, 2 dropped. Not to be changed."""
    return made_run(tmp_path_factory.mktemp("made") / "run", filter=3)


@pytest.fixture(scope="session")
def page(whole_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's report."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    report_job(whole_run, out, 600, Silent())
    return out
