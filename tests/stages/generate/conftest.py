"""Tiny pipelines of every family, loaded once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dsfactory.models.loading import load_pipeline
from tests import tiny_models

FAMILIES = ("sd", "sd2", "sdxl", "pocket")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny pipeline."""
    root = tmp_path_factory.mktemp("families")
    return cache(lambda family: getattr(tiny_models, f"tiny_{family}")(root / family))


@pytest.fixture(scope="session")
def load(model_folder: Callable[[str], Path]) -> Callable[[str], Any]:
    """A family's tiny pipeline, shared by the session: leave it as it was."""
    return cache(lambda family: load_pipeline(str(model_folder(family)), "cpu"))


@pytest.fixture(params=FAMILIES)
def pipeline(request: pytest.FixtureRequest, load: Callable[[str], Any]) -> Any:
    return load(request.param)
