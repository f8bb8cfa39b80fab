"""The cron, systemd and Slurm examples: parsed by their own tools, and their very command lines run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dsfactory.jobs.settings import resolve_config
from tests.command import tree

CRON = Path(__file__).parents[2] / "scripts" / "cron"
PLACE = "/srv/dsfactory"


@pytest.fixture(scope="module")
def place(tiny_model, tmp_path_factory):
    """A folder that stands for /srv/dsfactory: the command, and a nightly.yaml small enough for a test."""
    folder = tmp_path_factory.mktemp("srv")
    (folder / ".venv" / "bin").mkdir(parents=True)
    script = folder / ".venv" / "bin" / "dsfactory"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dsfactory "$@"\n')
    script.chmod(0o755)
    settings = {
        "classes": ["dog"], "num": 2, "shard_size": 1,
        "generate": {"model": str(tiny_model), "width": 64, "height": 64, "steps": 1}, "refine": {"min_box": 0},
    }  # fmt: skip
    (folder / "nightly.yaml").write_text(yaml.safe_dump(settings))
    return folder


def shell(line: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    root = str(CRON.parents[1])
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, **environment}
    line = line.replace(PLACE, str(place))
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environ, timeout=300, cwd=place)


def cron_lines() -> list[tuple[str, str]]:
    """Schedule and command of each line of the crontab."""
    entries = [line for line in (CRON / "crontab").read_text().splitlines() if line and line[0] not in "#"]
    found = []
    for line in entries:
        if re.fullmatch(r"[A-Z_]+=.*", line):
            continue
        *schedule, command = line.split(maxsplit=5)
        found.append((" ".join(schedule), command))
    return found


def test_the_settings_are_accepted():
    config = resolve_config(None, CRON / "nightly.yaml", {})
    assert (config.num, config.generate.model, [item.name for item in config.classes]) == (
        5000, "sd15", ["dog", "traffic light"],
    )  # fmt: skip


def test_the_crontab_is_one():
    for schedule, line in cron_lines():
        assert all(re.fullmatch(r"\*|\d{1,2}", field) for field in schedule.split())
        assert "%" not in line  # cron would make a line break of it
    assert (CRON / "crontab").read_text().endswith("\n")
    if shutil.which("crontab"):
        # Only looked at: -T with newer ones, -n with that of Debian 12.
        usage = subprocess.run(["crontab", "-h"], capture_output=True, text=True, check=False)
        only = "-T" if "-T" in usage.stdout + usage.stderr else "-n"
        subprocess.run(["crontab", only, str(CRON / "crontab")], check=True)


@pytest.mark.long
def test_the_cron_lines_run_and_say_nothing(place):
    (_, night), (_, sunday) = cron_lines()
    first = shell(night, place)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    made = tree(place / "runs" / "nightly")
    assert "export/coco/dsfactory.json" in made
    again = shell(night, place)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert tree(place / "runs" / "nightly") == made
    read = shell(sunday, place)
    assert (read.returncode, read.stdout) == (0, ""), read.stderr
    os.truncate(place / "runs/nightly/refine/00001.tar", 10)
    assert "refine/00001.tar" in shell(sunday, place).stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_accepts_its_units(place, tmp_path):
    for name in ("dsfactory.service", "dsfactory.timer"):
        (tmp_path / name).write_text((CRON / name).read_text().replace(PLACE, str(place)))
    units = [str(tmp_path / "dsfactory.service"), str(tmp_path / "dsfactory.timer")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.long
def test_the_service_line_is_accepted(place):
    text = (CRON / "dsfactory.service").read_text()
    line = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert line is not None
    done = shell(line[1].replace("runs/nightly", "runs/service").replace("--budget 8h", "--budget 1s"), place)
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")
    assert "SuccessExitStatus=5" in text


@pytest.mark.long
def test_the_slurm_script_puts_a_stopped_task_back(place, tmp_path):
    script = tmp_path / "slurm-array.sh"
    text = (CRON / "slurm-array.sh").read_text().replace(PLACE, str(place)).replace("--budget 3h30m", "--budget 1s")
    script.write_text(text)
    subprocess.run(["bash", "-n", str(script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(script)], check=True)
    # There is no Slurm here: its commands are stood in for, the script and dsfactory are the real ones.
    stands = {"srun": 'exec "$@"', "scontrol": f'echo "$@" >> {tmp_path}/requeued', "squeue": "cat $SLURM_STATE"}
    for name, body in stands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    state = tmp_path / "state"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_JOB_ID": "77",
                   "SLURM_JOB_ID": "80", "SLURM_STATE": str(state)}  # fmt: skip
    state.write_text("RUNNING\n")
    assert shell(f"bash {script}", place, **environment).returncode == 5
    assert (tmp_path / "requeued").read_text() == "requeue 77_3\n"
    assert '"seed": 3' in (place / "runs" / "part-3" / "run.json").read_text()
    state.write_text("COMPLETING\n")
    assert shell(f"bash {script}", place, **environment).returncode == 5
    assert (tmp_path / "requeued").read_text() == "requeue 77_3\n"
