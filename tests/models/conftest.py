"""Copies of a tiny pipeline to be damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def copy(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A pipeline folder that the test may change."""
    return Path(shutil.copytree(model_folder("sd"), tmp_path / "copy"))
