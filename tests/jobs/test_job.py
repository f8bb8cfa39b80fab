"""The jobs behind the commands, in this process: growing, refusing, going on, reading what others write."""

import json
import os
import re
import shutil
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsfactory.core.run import Run
from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.export import export_job
from dsfactory.jobs.settings import run_config
from dsfactory.jobs.status import status_of
from dsfactory.runner.executors import Local
from dsfactory.runner.limits import Limits, Surroundings
from tests.command import tree
from tests.making import GENERATE, RUN, make

SIZE = {"width": 64, "height": 64, "steps": 1}


@pytest.fixture(scope="module")
def flags(tiny_model):
    return {"classes": [{"name": "dog"}, {"name": "bird"}], "num": 2, "shard_size": 2, "refine": {"min_box": 0},
            "generate": {"model": str(tiny_model), **SIZE}}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(flags, tmp_path_factory):
    """Four samples in two shards, refined. Not to be changed."""
    out = tmp_path_factory.mktemp("drawn") / "a"
    make(GENERATE, out, flags)
    make("refine", out)
    return out


@pytest.fixture
def run_path(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "a")


def events(path, name):
    return [
        line for text in (path / "log.jsonl").read_text().splitlines() if (line := json.loads(text))["event"] == name
    ]


def test_every_append_grows_the_run_and_touches_nothing(run_path):
    before = tree(run_path)
    for number in (1, 2):
        summary = make(GENERATE, run_path, append=1)
        assert [stage.made for stage in summary.stages] == [2, 2]
        assert Run.open(run_path).total == 4 + 2 * number
    after = tree(run_path)
    assert all(after[path] == data for path, data in before.items() if path not in ("run.json", "config.yaml"))


def test_an_append_that_was_stopped_is_finished_first(run_path, capsys):
    stop = Limits(max_gb=0)
    make(GENERATE, run_path, append=2, limits=stop)
    assert Run.open(run_path).total == 8
    summary = make(GENERATE, run_path, append=2)
    assert (Run.open(run_path).total, summary.stages[1].samples) == (8, 8)
    assert "its 8 samples come before any are added" in capsys.readouterr().err
    make(GENERATE, run_path, append=2)
    assert Run.open(run_path).total == 12


def test_an_append_counts_from_what_is_there_not_from_a_smaller_target(run_path):
    make(GENERATE, run_path, {"num": 1})
    make(GENERATE, run_path, append=1)
    assert Run.open(run_path).total == 6


def test_classes_need_not_come_equally_often(run_path, flags, tmp_path):
    before = tree(run_path)
    make(GENERATE, run_path, {"num": "dog=4,bird=2"})
    assert Run.open(run_path).manifest.numbering.counts() == {"dog": 4, "bird": 2}
    after = tree(run_path)
    assert all(after[path] == data for path, data in before.items() if path not in ("run.json", "config.yaml"))
    make(GENERATE, run_path, append=1)
    assert Run.open(run_path).manifest.numbering.counts() == {"dog": 5, "bird": 3}
    table = read_table(run_path / "generate", "class_name", "index")
    assert table == [("dog", 0), ("bird", 0), ("dog", 1), ("bird", 1), ("dog", 2), ("dog", 3), ("dog", 4), ("bird", 2)]


@pytest.mark.parametrize(
    ("num", "says"),
    [
        ("dog=4", "how many images of bird? Write --num dog=4,bird=100"),
        ("dog=4,bird=1,cow=2", "the run has no class 'cow': it has dog, bird"),
        ("dog=0,bird=3", "images per class from 1 to"),
        ("many", "num 'many': give images per class"),
    ],
)
def test_a_number_that_does_not_fit_the_classes_is_refused(run_path, num, says):
    before = tree(run_path)
    with pytest.raises(UserError, match=re.escape(says)):
        make(GENERATE, run_path, {"num": num})
    assert tree(run_path) == before


def read_table(folder, *columns):
    rows = pa.concat_tables(pq.read_table(path, columns=[*columns]) for path in sorted(folder.glob("*.parquet")))
    return [tuple(row[name] for name in columns) for row in rows.to_pylist()]


@pytest.mark.parametrize(
    ("more", "redo", "says"), [({"num": 3}, False, "--append or --num"), ({}, True, "--append or --redo")]
)
def test_an_append_goes_with_no_other_target(run_path, more, redo, says):
    with pytest.raises(UserError, match=says):
        make(GENERATE, run_path, more, redo=redo, append=1)


def test_what_is_not_there_begins_with_what_is_to_be_added(flags, tmp_path):
    fewer = {name: value for name, value in flags.items() if name != "num"}
    for images in (2, 4):  # of two classes
        make(GENERATE, tmp_path / "new", fewer, append=1)
        assert Run.open(tmp_path / "new").total == images
    assert run_config(tmp_path / "new").num == 2


@pytest.mark.long
def test_a_run_keeps_the_number_format_in_which_it_was_begun(flags, tmp_path):
    """As on a GPU, where ``auto`` is bf16, and then on a machine without one."""
    begun = tmp_path / "begun"
    make(GENERATE, begun, {**flags, "shard_size": 1, "num": 1, "generate": {**flags["generate"], "dtype": "bf16"}})
    whole = tree(begun)
    for name in ("00001.parquet", "00001.tar"):
        (begun / "generate" / name).unlink()
    auto = {"generate": {"dtype": "auto"}}
    assert make(GENERATE, begun, auto).stages[1].made == 1
    assert {name: data for name, data in tree(begun).items() if name != "config.yaml"} == {
        name: data for name, data in whole.items() if name != "config.yaml"
    }
    with pytest.raises(UserError, match='dtype: "bf16" → "fp32"'):
        make(GENERATE, begun, {"generate": {"dtype": "fp32"}})
    make(GENERATE, begun, auto, redo=True)
    assert Run.open(begun).stage_state("generate").identity["dtype"] == "fp32"


def test_workers_may_prepare_while_prompts_are_found(flags, tmp_path):
    seen = []

    class Noting(Local):
        @contextmanager
        def preparing(self, run, step, limits):
            name = step.stage.name
            seen.append((name, len(run.finished("prompts")), len(run.shards())))
            yield
            seen.append((name, len(run.finished("generate"))))

    make(GENERATE, tmp_path / "a", flags, engine=Noting())
    assert seen == [("generate", 0, 2), ("generate", 2)]


def test_refused_settings_are_not_saved(run_path, flags):
    before = tree(run_path)
    with pytest.raises(UserError, match="steps: 1 → 3"):
        make(GENERATE, run_path, {"generate": {"steps": 3}, "num": 9})
    assert tree(run_path) == before
    assert make(GENERATE, run_path).exit_code == 0


def test_what_a_limit_left_of_a_redo_is_finished_without_flags(run_path):
    other = {"refine": {"threshold": 0.4}}
    stopped = make("refine", run_path, other, redo=True, limits=Limits(max_gb=0))
    assert (stopped.exit_code, stopped.stages[0].samples) == (5, 0)
    assert make("refine", run_path).stages[0].made == 4
    assert '"threshold": 0.4' in (run_path / "refine" / "stage.json").read_text()


class InTurns(Local):
    """One stage after the other."""

    def run(self, run, steps, progress, limits):
        done = []
        for step in steps:
            done += super().run(run, [step], progress, limits)
            if done[-1].stopped:
                break
        return done


@pytest.fixture(scope="module")
def drawn_in_two_steps(flags, tmp_path_factory):
    """As ``drawn``, with more steps from the start."""
    out = tmp_path_factory.mktemp("two-steps") / "a"
    more = {**flags, "generate": {**flags["generate"], "steps": 2}}
    make(RUN, out, more, engine=InTurns())
    return tree(out)


def test_a_stopped_redo_of_all_goes_on_without_the_flag(run_path, drawn_in_two_steps):
    """Stopped while drawing."""
    other = {"generate": {"steps": 2}}
    ticks = iter([0.0] * 2 + [10.0] * 9)  # at the start, then before every shard but a stage's first
    limits = Limits(budget="1s", around=Surroundings(monotonic=lambda: next(ticks)))
    stopped = make(RUN, run_path, other, redo=True, limits=limits, engine=InTurns())
    assert stopped.exit_code == 5
    left = tree(run_path)
    whole = make(RUN, run_path, other, engine=InTurns())
    assert [stage.samples for stage in whole.stages] == [4, 4, 4]
    assert sum(stage.made for stage in whole.stages) == 6
    assert tree(run_path) == drawn_in_two_steps
    assert all(drawn_in_two_steps[name] == data for name, data in left.items())


def test_images_drawn_again_are_not_exported_with_old_masks(run_path):
    make(GENERATE, run_path, {"generate": {"steps": 2}}, redo=True)
    with pytest.raises(UserError, match=r"what refine read was made again since: run 'dsfactory refine .* --redo'"):
        export_job(run_path, "coco", None, 0.5)
    assert not (run_path / "export").exists()


def test_readers_see_no_shard_of_earlier_settings(run_path):
    """As a redo leaves it that was killed while the old shards were being deleted."""
    refined = run_path / "refine"
    old = {name: (refined / name).read_bytes() for name in ("00001.parquet", "00001.tar")}
    make("refine", run_path, {"refine": {"threshold": 0.4}}, redo=True)
    for name, data in old.items():
        (refined / name).write_bytes(data)
    assert status_of(run_path)["stages"][2]["samples"] == 2
    summary = export_job(run_path, "coco", None, 0.0)[0]
    assert sum(summary.images.values()) == 2


def test_a_status_names_damage_and_goes_on(run_path):
    os.truncate(run_path / "generate" / "00000.parquet", 100)
    stage = status_of(run_path)["stages"][1]
    assert (stage["samples"], len(stage["damaged"])) == (2, 1)
    assert "generate/00000.parquet" in stage["damaged"][0]


def flip_a_row(path, stage):
    """Flip a bit of a row table that leaves its done-mark as it was."""
    run, table = Run.open(path), path / stage / "00000.parquet"
    sound, spec = table.read_bytes(), run.shards()[0]
    mark = run.reader(stage, spec).mark
    for position in range(len(sound) // 4, len(sound)):
        table.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
        try:
            reader = run.reader(stage, spec)
            assert reader.mark == mark
            _ = reader.rows
        except DamagedShard as error:
            if "checksum" in str(error):
                return
        except AssertionError:
            continue
    raise AssertionError("no such bit")


def test_a_finished_shard_with_flipped_rows_is_made_again(drawn, run_path):
    flip_a_row(run_path, "generate")
    assert make(GENERATE, run_path).stages[1].made == 2
    assert tree(run_path) == tree(drawn)
    assert events(run_path, "damaged")[-1]["shard"] == 0


def test_the_log_tells_what_was_done(drawn):
    assert [line["command"] for line in events(drawn, "start")] == ["generate", "refine"]
    assert [(line["stage"], line["shard"]) for line in events(drawn, "shard")] == [
        (stage, shard) for stage in ("prompts", "generate", "refine") for shard in (0, 1)
    ]
    assert [line["exit_code"] for line in events(drawn, "end")] == [0, 0]


def test_a_failed_sample_is_in_the_log_with_its_reason(run_path):
    from dsfactory.core.shard import ShardWriter
    from dsfactory.stages.generate.stage import GenerateStage

    run = Run.open(run_path)
    spec, reader = run.shards()[0], run.reader("generate", run.shards()[0])
    records = list(reader.records())
    records[0].files["evidence.safetensors"] = b"none"
    with ShardWriter(run_path / "generate", spec, GenerateStage.writes.schema, reader.mark.fingerprint) as writer:
        for record in records:
            writer.add(record)
        writer.commit()
    summary = make("refine", run_path, redo=True)
    assert summary.exit_code == 3
    failed = events(run_path, "failed")
    assert [(line["stage"], line["key"]) for line in failed] == [("refine", "00000000")]
    assert "evidence cannot be read" in failed[0]["reason"]
