import json

import pytest

from dsfactory.core.reading import read_yaml
from dsfactory.stages import RunConfig
from tests.command import call_tiny, called, command, tree
from tests.stages.splice.runs import labelled_run


def test_init_writes_a_file_that_generate_takes(tiny_model, tmp_path):
    done = called("init", "--classes", "dog,bird", "--num", "2", "--model", str(tiny_model), "--set",
                   "generate.steps=2", cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "wrote run.yaml: edit it, then dsfactory run --config run.yaml\n")
    config = RunConfig(**read_yaml(tmp_path / "run.yaml"))
    assert ([item.name for item in config.classes], config.num, config.generate.steps) == (["dog", "bird"], 2, 2)
    drawn = called("generate", "--config", "run.yaml", "--out", "a", "--width", "64", "--height", "64", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    shown = called("config", "show", "a", "--changed", cwd=tmp_path)
    assert "  steps: 2  # default null\n" in shown.stdout
    (tmp_path / "again.yaml").write_text(called("config", "show", "a", cwd=tmp_path).stdout)
    assert RunConfig(**read_yaml(tmp_path / "again.yaml")) == RunConfig.read(tmp_path / "a/config.yaml")
    as_json = json.loads(called("config", "show", "a", "--json", cwd=tmp_path).stdout)
    assert as_json == RunConfig.read(tmp_path / "a/config.yaml").model_dump(mode="json")


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "run.yaml").write_text("mine")
    refused = called("init", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2, "dsfactory: run.yaml is there already: name another file, or delete it first\n",
    )  # fmt: skip
    assert (tmp_path / "run.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init", "nowhere/run.yaml"], "there is no folder nowhere"),
        (["init", "--set", "generate.stepps=3"], "did you mean 'steps'?"),
        (["init", "--classes", "dog,,cat"], "a class name is empty"),
        (["init", "."], "there already"),
        (["config", "show", "nowhere"], "nowhere is not there"),
        (["config", "show"], "no run under ./runs"),
        (["generate", "--dry-run", "--classes", "dog", "--model", "poket"], "poket"),
        (["generate", "--dry-run"], "no class is named"),
        (["refine", "--dry-run", "nowhere"], "nowhere is not there"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, said):
    done = called(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not tree(tmp_path)


def test_dry_run_writes_nothing_and_counts_as_the_real_one(tiny_model, tmp_path):
    flags = ["--out", "a", "--json"]
    before = json.loads(call_tiny(tiny_model, "run", "--dry-run", *flags, cwd=tmp_path).stdout)
    assert not tree(tmp_path)
    assert [(item["stage"], item["to_make"], item["seconds"]) for item in before["stages"]] == [
        ("prompts", 6, None), ("generate", 6, None), ("refine", 6, None), ("coco", 6, None),
    ]  # fmt: skip
    assert (before["width"], before["download_mb"], before["dry_run"]) == (64, 0, True)
    assert call_tiny(tiny_model, "generate", *flags, cwd=tmp_path).returncode == 0
    there = tree(tmp_path)
    words = call_tiny(tiny_model, "run", "--dry-run", "--num", "5", "--out", "a", cwd=tmp_path)
    assert "generate  4 to make, 6 finished, about 0." in words.stdout
    assert "at this run's pace so far" in words.stdout
    assert "refine    10 to make, 0 finished" in words.stdout
    assert "time unknown" in words.stdout
    more = json.loads(call_tiny(tiny_model, "generate", "--dry-run", "--num", "5", *flags, cwd=tmp_path).stdout)
    drawn = more["stages"][1]
    size = sum(len(data) for name, data in there.items() if name.startswith("a/generate/0"))
    assert drawn["measured"]
    assert drawn["bytes"] == pytest.approx(size / 6 * 4, abs=1)
    other = call_tiny(tiny_model, "generate", "--dry-run", "--steps", "3", "--out", "a", cwd=tmp_path)
    assert other.returncode == 2
    assert "made with other settings (steps: 2 → 3)" in other.stderr
    assert tree(tmp_path) == there


def test_dry_run_of_refine(tmp_path):
    labelled_run(tmp_path / "a", 4)
    for file in (tmp_path / "a/refine").iterdir():
        file.unlink()
    there = tree(tmp_path)
    found = json.loads(called("refine", "a", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert [(item["stage"], item["finished"], item["to_make"]) for item in found["stages"]] == [("refine", 0, 8)]
    assert tree(tmp_path) == there


def test_dry_run_downloads_nothing(tmp_path):
    flags = ["--classes", "dog", "--num", "10", "--model", "sd15"]
    done = command("generate", "--dry-run", *flags, cwd=tmp_path, HF_HOME=str(tmp_path / "hub"), HF_HUB_OFFLINE="0",
                   HF_ENDPOINT="http://127.0.0.1:9")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sd15 is not here: to download" in done.stdout
    assert "images of 512 × 512" in done.stdout
    assert not tree(tmp_path)
