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
