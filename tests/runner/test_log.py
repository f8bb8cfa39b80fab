"""The run's log: what it says, that it turns over, and that it is in nobody's way."""

import json
import os

import pytest

from dsfactory.errors import UserError
from dsfactory.runner import log
from dsfactory.runner.log import log_event, run_log


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_command_has_a_line_at_its_start_and_its_end(tmp_path):
    with run_log(tmp_path, "generate") as ended:
        log_event("shard", stage="generate", shard=3)
        ended["exit_code"] = 0
    start, shard, end = lines(tmp_path / "log.jsonl")
    assert (start["event"], start["command"], start["pid"]) == ("start", "generate", os.getpid())
    assert start["versions"].keys() >= {"dsfactory", "python", "torch", "diffusers"}
    assert (shard["event"], shard["shard"]) == ("shard", 3)
    assert (end["event"], end["exit_code"]) == ("end", 0)
    assert start["time"] <= shard["time"] <= end["time"] and start["time"].endswith("+00:00")


@pytest.mark.parametrize(("error", "code"), [(UserError("no\nroom"), 2), (RuntimeError("odd"), 1)])
def test_an_error_is_the_end(tmp_path, error, code):
    with pytest.raises(type(error)), run_log(tmp_path, "refine"):
        raise error
    end = lines(tmp_path / "log.jsonl")[-1]
    assert (end["exit_code"], end["error"]) == (code, str(error))


def test_it_turns_over(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "MAX_BYTES", 2000)
    monkeypatch.setattr(log, "KEPT", 2)
    with run_log(tmp_path, "generate"):
        for number in range(60):
            log_event("shard", shard=number, text="x" * 80)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.1.jsonl", "log.2.jsonl", "log.jsonl"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    kept = [line for name in ("log.2", "log.1", "log") for line in lines(tmp_path / f"{name}.jsonl")]
    numbers = [line["shard"] for line in kept if line["event"] == "shard"]
    assert numbers == list(range(numbers[0], 60))


def test_it_holds_no_environment_and_no_token(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    with run_log(tmp_path, "generate"):
        pass
    assert "hf_verysecret" not in (tmp_path / "log.jsonl").read_text()
    assert "HF_TOKEN" not in (tmp_path / "log.jsonl").read_text()


def _folder(path):
    path.mkdir()


def _link(path):
    (path.parent.parent / "mine.txt").write_text("mine")
    path.symlink_to(path.parent.parent / "mine.txt")


@pytest.mark.parametrize("obstacle", [_folder, _link, os.mkfifo])
def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, capfd, obstacle):
    run = tmp_path / "run"
    run.mkdir()
    obstacle(run / "log.jsonl")
    with run_log(run, "generate") as ended:
        log_event("shard", shard=1)
        ended["exit_code"] = 0
    assert capfd.readouterr() == ("", "")
    if obstacle is _link:
        assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_stops_nothing(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(log._Handler, "_open", lambda self: open("/dev/full", "a", encoding="utf-8"))  # noqa: SIM115
    with run_log(tmp_path, "generate"):
        log_event("shard", shard=1)
    assert capfd.readouterr() == ("", "")


def test_without_a_run_events_go_nowhere(capfd):
    log_event("shard", shard=1)
    assert capfd.readouterr() == ("", "")
