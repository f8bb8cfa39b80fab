"""Several worker processes: the same bytes as one process, whatever dies on the way."""

import json
import os

import pyarrow.parquet as pq
import pytest

from dsfactory.errors import DsfactoryError, UserError
from dsfactory.runner.executors import IN_PROCESS, Workers, choose_engine, parse_devices
from dsfactory.runner.limits import Limits
from dsfactory.runner.log import run_log
from dsfactory.runner.processes import MAX_DEATHS, run_workers
from dsfactory.runner.progress import Plain, Silent
from dsfactory.runner.scheduler import run_stage
from tests.command import tree
from tests.runner.toys import Counting, Numbers, Squares


def test_the_bytes_and_the_summary_are_those_of_one_process(run, expected):
    progress = Counting()
    numbers = run_workers(run, [Numbers(seconds=0.02)] * 2, progress)
    squares = run_workers(run, [Squares()] * 3, progress)
    assert (numbers.samples, numbers.made, squares.made) == (22, 22, 22)
    assert squares.statuses == {"ok": 11, "failed": 11}
    assert squares.reasons == {"it is odd": 11}
    assert progress.through == {"numbers": 22, "squares": 22}
    assert tree(run.path) == expected


def test_all_workers_work(run):
    with run_log(run.path, "test"):
        run_workers(run, [Numbers(seconds=0.1)] * 2, Silent())
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    shards = [(line["shard"], line["worker"]) for line in lines if line["event"] == "shard"]
    assert sorted(shard for shard, _ in shards) == list(range(6))
    assert {worker for _, worker in shards} == {1, 2}


def test_what_a_killed_worker_had_in_hand_is_made_by_another(run, expected, tmp_path):
    fatal = Numbers(seconds=0.01, fatal=2, lives=1, deaths=tmp_path / "deaths")
    progress = Counting()
    summary = run_workers(run, [fatal, fatal], progress)
    assert (summary.made, progress.through["numbers"]) == (22, 22)
    assert any("was killed by SIGKILL: another takes its place" in line for line in progress.notes)
    run_workers(run, [Squares()], progress)
    assert tree(run.path) == expected


def test_workers_that_keep_dying_end_the_command_and_keep_what_is_finished(run, tmp_path):
    fatal = Numbers(fatal=1, lives=99, deaths=tmp_path / "deaths")
    with pytest.raises(DsfactoryError, match=r"3 workers in a row died, the last one was killed by SIGKILL.*fewer"):
        run_workers(run, [fatal], Silent())
    assert (tmp_path / "deaths").stat().st_size == MAX_DEATHS
    assert [spec.index for spec in run.finished("numbers")] == [0]
    left = sorted(path.name for path in (run.path / "numbers").iterdir())
    assert left == ["00000.parquet", "00000.tar", "stage.json"]
    assert run_workers(run, [Numbers()], Silent()).made == 18


def test_a_worker_s_mistake_ends_the_command_with_its_line(run):
    with pytest.raises(UserError, match=r"^no such model$"):
        run_workers(run, [Numbers(mistake="no such model")] * 2, Silent())
    with pytest.raises(RuntimeError, match=r"(?s)toys.py.*KeyError: 'a bug'"):
        run_workers(run, [Numbers(mistake="bug")], Silent())


def test_a_finished_stage_starts_no_process(run):
    run_stage(run, Numbers(), Silent())
    before = tree(run.path)
    assert run_workers(run, [Numbers(mistake="must not be prepared")] * 2, Silent()).made == 0
    assert tree(run.path) == before


def test_a_finished_shard_with_changed_rows_is_made_again(run):
    run_stage(run, Numbers(), Silent())
    before = tree(run.path)
    path = run.path / "numbers" / "00001.parquet"
    table = pq.read_table(path)  # with its done-mark
    pq.write_table(table.set_column(1, "value", [[9, 9, 9, 9]]).replace_schema_metadata(table.schema.metadata), path)
    summary = run_workers(run, [Numbers()], Counting())
    assert (summary.samples, summary.made) == (22, 4)
    assert tree(run.path) == before


def test_shards_that_are_not_drawn_yet_are_waited_for(run):
    run_stage(run, Numbers(), Silent())
    (run.path / "numbers" / "00002.parquet").unlink()
    summary = run_workers(run, [Squares()] * 2, Silent())
    assert (summary.samples, summary.waiting) == (18, 4)


def test_a_damaged_shard_is_left_out_once(run):
    run_stage(run, Numbers(), Silent())
    os.truncate(run.path / "numbers" / "00001.parquet", 10)
    progress = Counting()
    summary = run_workers(run, [Squares()] * 2, progress)
    assert (summary.made, len(summary.damaged), len(progress.notes)) == (18, 1, 1)


def test_a_limit_stops_all_workers_at_a_shard(run, expected):
    stopped = run_workers(run, [Numbers(seconds=0.05)] * 2, Silent(), limits=Limits(budget="1s"))
    assert stopped.stopped is not None
    assert 0 < stopped.made < 22
    assert stopped.made == sum(len(spec) for spec in run.finished("numbers"))
    none = run_workers(run, [Numbers()] * 2, Silent(), limits=Limits(max_gb=0))
    assert (none.made, "may have 0" in none.stopped.reason) == (0, True)
    run_workers(run, [Numbers()] * 2, Silent())
    run_workers(run, [Squares()], Silent())
    assert tree(run.path) == expected


def test_engines_by_flags():
    assert choose_engine() is IN_PROCESS
    assert choose_engine(workers=1) == Workers((None,))
    assert choose_engine(workers=3) == Workers((None, None, None))
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
    assert [len(engine.followers(numbers, squares)) for engine in (IN_PROCESS, Workers((None, None)))] == [1, 2]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert len(IN_PROCESS.followers(numbers, squares)) == 4
    assert len(Workers(("cuda:0", "cuda:1")).followers(numbers, squares)) == 6
    assert len(IN_PROCESS.followers(Numbers(place="cpu"), squares)) == 1


def test_devices_by_number(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert parse_devices("all") == parse_devices("0,1") == parse_devices("cuda:0, 1") == ("cuda:0", "cuda:1")
    assert [stage.device for stage in Workers(parse_devices("1"))._stages(Numbers())] == ["cuda:1"]
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
    progress.begin("generate", 10, 0)
    progress.begin("refine", 10, 4)
    moment[0] = 40.0
    progress.advance("generate", 4)
    progress.advance()
    assert capsys.readouterr().err.splitlines() == [
        "generate: 10 samples",
        "refine: 10 samples, 4 finished earlier",
        "generate: 4 of 10, about 1 min 00 s left",
        "refine: 5 of 10, about 3 min 20 s left",
    ]
