"""Tiny pipelines of every family, and copies of one to be damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stages.generate.conftest import load, model_folder

__all__ = ["load", "model_folder"]


@pytest.fixture
def copy(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A pipeline folder that the test may change."""
    return Path(shutil.copytree(model_folder("sd"), tmp_path / "copy"))
