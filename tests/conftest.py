"""Fixtures that several packages' tests share."""

import os
from pathlib import Path

import pytest

# Before torch is imported: spinning threads on shared cores make tiny runs a hundred times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Stable Diffusion pipeline made of the real classes."""
    from tests.tiny_models import tiny_sd

    return tiny_sd(tmp_path_factory.mktemp("models") / "tiny")
