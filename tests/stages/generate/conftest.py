"""Tiny pipelines of every family with a UNet, loaded once."""

from collections.abc import Callable
from typing import Any

import pytest

FAMILIES = ("sd", "sd2", "sdxl", "pocket")


@pytest.fixture(params=FAMILIES)
def pipeline(request: pytest.FixtureRequest, load: Callable[[str], Any]) -> Any:
    return load(request.param)
