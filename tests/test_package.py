"""The package: what the wheel holds, what extras bring, and that the release says one version."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import dsfactory

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    builder = pytest.importorskip("hatchling.builders.wheel")
    out = tmp_path_factory.mktemp("dist")
    return Path(next(iter(builder.WheelBuilder(str(ROOT)).build(directory=str(out), versions=["standard"]))))


def test_the_wheel_is_small_and_holds_all_that_is_read(wheel):
    assert wheel.stat().st_size <= 40e6
    names = {*zipfile.ZipFile(wheel).namelist()}
    assert {"dsfactory/py.typed", "dsfactory/models/pocket/model_index.json"} <= names
    for path in (ROOT / "prompts").iterdir():
        assert f"dsfactory/stages/prompts/data/{path.name}" in names
    tracked = subprocess.run(["git", "ls-files", "dsfactory"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert {*tracked} <= names
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "docs/"))]


def test_all_is_the_extras_that_install_everywhere():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = {*re.search(r"\[(.+)\]", everything)[1].split(",")}
    assert named == extras.keys() - {"all", "dev", "docs", "notebook", "xformers", "densecrf"}
    wanted = [item for items in (PROJECT["dependencies"], *extras.values()) for item in items]
    assert not [item for item in wanted if item.startswith("torchvision")]


def test_the_release_says_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert str(citation["version"]) == dsfactory.__version__
    assert f"\n## {dsfactory.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))
    assert workflow["jobs"]["publish"]["needs"] == "build" and workflow["jobs"]["build"]["needs"] == "test"
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    for target in (line.split()[1] for line in runs if line.startswith("make ")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_what_extras_bring_is_not_imported_at_the_start():
    code = "import sys, dsfactory, dsfactory.cli.app, dsfactory.api; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"cleanlab", "imagehash", "ray", "fiftyone", "s3fs", "resvg_py", "torch", "huggingface_hub"} & {
        *done.stdout.split()
    }
