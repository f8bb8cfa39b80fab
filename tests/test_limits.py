"""Limits and ``--quiet`` as cron meets them: exit codes, one line or none, and the next night."""

import json

from tests.command import call_tiny, called


def test_a_stopped_run_says_how_to_go_on(tiny_model, tmp_path):
    arguments = ["run", "--out", "a", "--num", "60", "--set", "refine.min_box=0"]
    stopped = call_tiny(tiny_model, *arguments, "--budget", "1s", cwd=tmp_path)
    assert stopped.returncode == 5
    assert stopped.stderr.splitlines()[-1] == (
        "dsfactory: stopped, the budget of 1s is used up: finished shards are kept, run the same command again to go on"
    )
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
