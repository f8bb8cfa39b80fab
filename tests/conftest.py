"""Fixtures that several packages' tests share."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dsfactory.models.download_bar import show_downloads

# Before torch is imported: spinning threads on shared cores make tiny runs a hundred times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(autouse=True)
def downloads_shown_again():
    """A command that a test ran inside this process may have hidden downloads: the next test sees them."""
    yield
    show_downloads(silent=False)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Stable Diffusion pipeline made of the real classes."""
    from tests.tiny_models import tiny_sd

    return tiny_sd(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny pipeline, such as ``sdxl``. Not to be changed."""
    from tests import tiny_models

    root = tmp_path_factory.mktemp("families")
    return cache(lambda family: getattr(tiny_models, f"tiny_{family}")(root / family))


@pytest.fixture(scope="session")
def load(model_folder: Callable[[str], Path]) -> Callable[[str], Any]:
    """A family's tiny pipeline, shared by the session: leave it as it was."""
    from dsfactory.models.loading import load_pipeline

    return cache(lambda family: load_pipeline(str(model_folder(family)), "cpu"))


@pytest.fixture(scope="session")
def tiny_run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two shards per stage, with an export in every format that can be brought back.

    Not to be changed: copy it.
    """
    from dsfactory.formats import IMPORT_FORMATS
    from tests.command import call_tiny

    folder = tmp_path_factory.mktemp("tiny-run")
    formats = ",".join(IMPORT_FORMATS)
    done = call_tiny(tiny_model, "run", "--out", "a", "--format", formats, "--set", "refine.min_box=0", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "a"


@pytest.fixture(scope="session")
def s3_server():
    """An S3-speaking server, named in the environment of this process and of those it starts."""
    from tests.s3_server import ENVIRONMENT, S3Server

    with pytest.MonkeyPatch.context() as patch:
        server = S3Server()
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def s3(s3_server):
    """The server, in order again after the test."""
    yield s3_server
    s3_server.calm()
    if s3_server.dead:
        s3_server.start()
