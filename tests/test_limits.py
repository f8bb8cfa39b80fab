"""Limits and ``--quiet`` as cron meets them: exit codes, one line or none, and the next night."""

import json

import pytest

from dsfactory.jobs.status import status_of
from tests.command import call_tiny, called


def test_a_stopped_run_says_how_to_go_on(tiny_model, tmp_path):
    arguments = ["run", "--out", "a", "--num", "60", "--set", "refine.min_box=0"]
    stopped = call_tiny(tiny_model, *arguments, "--budget", "1s", cwd=tmp_path)
    assert stopped.returncode == 5
    kept = ("finished shards are kept, run the same command again to go on",
            "no shard of images was finished, nothing was kept, run the same command again")  # fmt: skip
    made = list((tmp_path / "a" / "generate").glob("*.parquet"))
    last = f"dsfactory: stopped, the budget of 1s is used up: {kept[0 if made else 1]}"
    assert stopped.stderr.splitlines()[-1] == last
    assert not (tmp_path / "a" / "export").exists()


def test_quiet_speaks_of_a_full_disk_but_not_of_time(tiny_model, tmp_path):
    over = call_tiny(tiny_model, "generate", "--out", "a", "--num", "60", "--quiet", "--budget", "1s", cwd=tmp_path)
    assert (over.returncode, over.stdout, over.stderr) == (5, "", "")
    full = call_tiny(tiny_model, "generate", "--out", "a", "--quiet", "--max-gb", "0.000001", cwd=tmp_path)
    assert (full.returncode, full.stdout) == (5, "")
    assert full.stderr.startswith("dsfactory: stopped, the run has") and len(full.stderr.splitlines()) == 1
    told = call_tiny(tiny_model, "generate", "--out", "a", "--json", "--max-gb", "0.000001", cwd=tmp_path)
    summary = json.loads(told.stdout)
    assert (told.returncode, summary["exit_code"]) == (5, 5)
    assert "may have 1e-06" in summary["stages"][-1]["stopped"]


def test_a_limit_that_cannot_be_read_writes_nothing(tmp_path):
    for flag, value, says in (("--budget", "6 hours", "write it as 90s"), ("--until", "25:00", "write it as 06:00"),
                              ("--max-gb", "-1", "--max-gb")):  # fmt: skip
        done = called("generate", "--classes", "dog", flag, value, cwd=tmp_path)
        assert (done.returncode, says in done.stderr, len(done.stderr.splitlines())) == (2, True, 1)
    assert list(tmp_path.iterdir()) == []


def test_an_append_beside_a_target_is_refused(tmp_path):
    done = called("generate", "--classes", "dog", "--append", "3", "--num", "3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "dsfactory: use --append or --num, not both\n")


def test_nights_that_append_begin_the_run_and_are_quiet(tiny_model, tmp_path):
    night = ["generate", "--classes", "dog", "--model", str(tiny_model), "--out", "a", "--append", "40", "--shard-size",
             "4", "--steps", "2", "--width", "64", "--height", "64", "--budget", "1s", "--quiet"]  # fmt: skip
    for _ in range(2):
        done = called(*night, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (5, "", "")
        assert status_of(tmp_path / "a")["samples"] == 40


@pytest.mark.long
def test_a_file_says_where_to_what_and_how_long(tiny_model, tmp_path):
    (tmp_path / "run.yaml").write_text(
        f"classes: dog\nnum: 2\nout: runs/mine\nformats: [voc, yolo]\nbudget: 1h\nrefine: {{min_box: 0}}\n"
        f"generate: {{model: {tiny_model}, steps: 1, width: 64, height: 64}}\n"
    )
    done = called("run", "--config", "run.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "runs" / "mine" / "export").iterdir()) == ["voc", "yolo"]
    assert "budget" not in (tmp_path / "runs" / "mine" / "config.yaml").read_text()
    ends = done.stdout.splitlines()[-2:]
    assert ends[0].startswith("next: dsfactory report runs/mine ") and "dsfactory filter runs/mine " in ends[1]
    again = called("run", "--config", "run.yaml", "--out", "other", "--format", "png", "--dry-run", cwd=tmp_path)
    assert again.stdout.startswith("other: ") and "  png" in again.stdout and "voc" not in again.stdout
    refined = called("refine", "--config", "run.yaml", cwd=tmp_path)
    assert "in runs/mine" in refined.stdout
    hints = [line.removeprefix("next:").split()[1] for line in refined.stdout.splitlines()[-3:]]
    assert hints == ["report", "filter", "export"]
