"""The files of deploy/: short, readable by who takes them, and their command lines work on a small model."""

import configparser
import importlib.util
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.command import called

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.iterdir() if path.is_file())
VALUES = {"CLASSES": "dog,bird", "MODEL": "sd15", "BUCKET": "runs/sky", "RUNS": "runs", "SLURM_ARRAY_TASK_ID": "3"}


def systemd(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=True, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(path.read_text("utf-8"))
    return found


def huggingface_job():
    spec = importlib.util.spec_from_file_location("huggingface_job", DEPLOY / "huggingface_job.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines() -> dict[str, list[str]]:
    """Every command line of dsfactory, without its first word, by file; the values of a shell filled in."""
    sky = yaml.safe_load((DEPLOY / "skypilot.yaml").read_text("utf-8"))
    job = yaml.safe_load((DEPLOY / "kubernetes-job.yaml").read_text("utf-8"))
    slurm = (DEPLOY / "slurm-array.sh").read_text("utf-8")
    service = systemd(DEPLOY / "dsfactory.service")["Service"]["ExecStart"]

    def filled(text: str) -> list[str]:
        return shlex.split(re.sub(r"\$(\w+)", lambda match: VALUES[match[1]], text))[1:]

    return {
        "skypilot.yaml": filled(next(line for line in sky["run"].splitlines() if line.startswith("dsfactory "))),
        "kubernetes-job.yaml": job["spec"]["template"]["spec"]["containers"][0]["args"],
        "slurm-array.sh": filled(re.search(r"^exec (dsfactory .*)$", slurm, re.MULTILINE)[1]),
        "dsfactory.service": filled(service),
        "huggingface_job.py": huggingface_job().commands("dog,bird", "me/dogs", "sd15")[0][1:],
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_is_short_and_parses(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 40
    if path.suffix == ".yaml":
        assert yaml.safe_load(text)
    elif path.suffix == ".sh":
        subprocess.run(["bash", "-n", path], check=True)
        assert text.startswith("#!") and path.stat().st_mode & 0o111
    elif path.suffix == ".py":
        block = re.search(r"^# /// script\n((?:#.*\n)+?)# ///$", text, re.MULTILINE)[1]
        metadata = tomllib.loads("".join(line[2:] for line in block.splitlines(keepends=True)))
        assert metadata["dependencies"] == ["dsfactory[filter]"] and metadata["requires-python"] == ">=3.11"
    else:
        assert {"Unit"} <= {*systemd(path).sections()}


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(lines()))
def test_its_command_makes_a_dataset(name, tiny_model, tmp_path):
    line = [str(tiny_model) if word == "sd15" else word for word in lines()[name]]
    line = [word for word in line if word != "--filter"]  # six images are too few for its networks
    small = ["--num", "1", "--steps", "1", "--width", "64", "--height", "64", "--set", "refine.min_box=0"]
    if "--until" in line:  # the night ends before the test does, at some times of the day
        place = line.index("--until")
        del line[place : place + 2]
    done = called(*line, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("dsfactory.json"))


def test_the_image_runs_as_a_user_and_copies_what_the_wheel_needs():
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert text.index("USER dsfactory") < text.index("ENTRYPOINT") and 'VOLUME ["/cache", "/data"]' in text
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in (ROOT / ".dockerignore").read_text("utf-8").splitlines(), name
