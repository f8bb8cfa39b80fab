"""Which engine flags ask for, and how many make a stage."""

import pytest

from dsfactory.errors import UserError
from dsfactory.runner.executors import IN_PROCESS, Local, choose_engine, parse_devices
from dsfactory.runner.progress import Plain, Reports
from tests.runner.toys import Counting, Numbers, Squares


def test_engines_by_flags():
    assert choose_engine() is IN_PROCESS
    assert choose_engine(workers=1) == Local((None,))
    assert choose_engine(workers=3) == Local((None, None, None))
    for flags, says in (
        ({"workers": 2, "devices": "0"}, "--workers .* or --devices"),
        ({"address": "auto"}, "add --engine ray"),
        ({"engine": "rya"}, "choose local or ray"),
        ({"engine": "ray", "workers": 2}, "leave out --workers"),
    ):
        with pytest.raises(UserError, match=says):
            choose_engine(**flags)


def test_as_many_follow_as_keep_up(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    numbers, squares = Numbers(place="auto"), Squares()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [engine.workers(numbers, squares) for engine in (IN_PROCESS, Local((None, None)))] == [1, 2]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert IN_PROCESS.workers(numbers, squares) == 4
    assert Local(("cuda:0", "cuda:1")).workers(numbers, squares) == 6
    assert IN_PROCESS.workers(Numbers(place="cpu"), squares) == 1


def test_devices_by_number(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert parse_devices("all") == parse_devices("0,1") == parse_devices("cuda:0, 1") == ("cuda:0", "cuda:1")
    assert [stage.device for stage in Local(parse_devices("1"))._stages(Numbers())] == ["cuda:1"]
    for text, says in (("0,2", "sees 2 CUDA devices"), ("0,0", "once each"), ("gpu", "write numbers"), ("-1", "write")):
        with pytest.raises(UserError, match=says):
            parse_devices(text)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(UserError, match="sees no CUDA device here; on a CPU, use --workers"):
        parse_devices("all")


def test_plain_lines_of_two_stages_at_once(capsys, monkeypatch):
    moment = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: moment[0])
    progress = Plain()
    progress.begin("generate", 10, 0, "images")
    progress.begin("refine", 10, 4, "masks")
    moment[0] = 40.0
    progress.advance("generate", 4)
    progress.advance()
    assert capsys.readouterr().err.splitlines() == [
        "generate: 10 images",
        "refine: 10 masks, 4 finished earlier",
        "generate: 4 of 10 images, about 1 min 00 s left",
        "refine: 5 of 10 masks, about 3 min 20 s left",
    ]


def test_reports_of_a_stage_are_progress_and_never_go_back():
    progress = Counting()
    reports = Reports(progress)
    for done in (2, 3, 0, 1, 2, 3, 4):
        reports("learning", done, 4)
    assert progress.through == {"learning": 4}
