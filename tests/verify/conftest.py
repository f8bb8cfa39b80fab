"""One small run with masks and exports, made once; tests damage copies of it."""

import shutil
from pathlib import Path

import pytest

from tests.command import run_tiny


@pytest.fixture(scope="session")
def whole_run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two shards per stage with a COCO and a VOC export. Not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    done = run_tiny(
        tiny_model, "run", "--out", "a", "--format", "coco,voc", "--val-share", "0.5", "--set", "refine.min_box=0",
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "a"


@pytest.fixture
def run_path(whole_run: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(whole_run, tmp_path / "a"))
