"""Exports keep their bytes, whatever becomes of the code that writes them."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from dsfactory.jobs.export import ExportOptions, export_job
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import tree

FIXTURES = Path(__file__).parents[1] / "fixtures"
PINNED = json.loads((FIXTURES / "runs-2bf85d9.json").read_text())["exports"]
"""Hash of each export of each run by ``run/format``, as commit 2bf85d9 wrote them."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with tarfile.open(FIXTURES / "runs-2bf85d9.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def tree_hash(folder: Path) -> str:
    content = (name.encode() + b"\0" + hashlib.sha256(data).digest() for name, data in sorted(tree(folder).items()))
    return hashlib.sha256(b"".join(content)).hexdigest()


@pytest.mark.parametrize("name", PINNED)
def test_an_export_has_the_bytes_that_it_had_and_no_fault(name, runs):
    run, format = name.split("/")
    export_job(runs / run, format, None, 0.1, options=ExportOptions(provenance=False))
    assert tree_hash(runs / run / "export" / format) == PINNED[name]
    found = verify_path(runs / run / "export" / format, Silent())
    assert (found.faults, found.notes) == ([], [])
