"""The commands as a user meets them: real processes, real files, a tiny pipeline of the real classes."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import call_tiny, called, command, run_tiny, tree


def test_help_answers_at_once_and_loads_nothing_heavy():
    code = "import sys; from dsfactory.cli.app import main\ntry: main(['--help'])\nfinally: print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = out.splitlines()[-1]
    assert not {"'torch'", "'diffusers'", "'transformers'", "'pyarrow'", "'numpy'", "'fsspec'"} & set(
        loaded.strip("[]").split(", ")
    )


@pytest.fixture
def copied(tiny_run, tmp_path):
    """Where a copy of a finished run is, to be worked on."""
    shutil.copytree(tiny_run, tmp_path / "a")
    return tmp_path


def test_the_chain_leaves_a_shard_per_stage(tiny_run):
    for stage in ("prompts", "generate", "refine"):
        assert (tiny_run / stage / "00000.parquet").exists()
    assert (tiny_run / "config.yaml").exists()


@pytest.mark.long
def test_a_finished_command_does_nothing_and_says_so(tiny_run, tiny_model):
    before = tree(tiny_run)
    done = run_tiny(tiny_model, "generate", "--out", "a", cwd=tiny_run.parent)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert tree(tiny_run) == before


def test_the_same_command_elsewhere_gives_the_same_bytes(tiny_run, tiny_model, tmp_path):
    call_tiny(tiny_model, "generate", "--out", "b", "--set", "refine.min_box=0", cwd=tmp_path)
    called("refine", "b", cwd=tmp_path)
    left, right = tree(tiny_run), tree(tmp_path / "b")
    assert {path: data for path, data in left.items() if not path.startswith("export")} == right


@pytest.mark.long
def test_status_counts_what_is_there(tiny_run):
    found = json.loads(command("status", "a", "--json", cwd=tiny_run.parent).stdout)
    assert found["classes"] == ["dog", "bird"]
    assert [stage["samples"] for stage in found["stages"]] == [6, 6, 6]


def test_more_images_change_none_that_are_there(copied, tiny_model):
    before = tree(copied / "a")
    done = call_tiny(tiny_model, "generate", "--out", "a", "--num", "5", cwd=copied)
    assert done.returncode == 0, done.stderr
    after = tree(copied / "a")
    grown = {"run.json", "config.yaml"}
    assert all(after[path] == data for path, data in before.items() if path not in grown)
    assert json.loads(called("status", "a", "--json", cwd=copied).stdout)["samples"] == 10


def test_refine_again_with_other_settings_draws_nothing(copied):
    drawn = tree(copied / "a" / "generate")
    refused = called("refine", "a", "--threshold", "0.4", cwd=copied)
    assert refused.returncode == 2
    assert "threshold" in refused.stderr and "--redo" in refused.stderr
    assert called("refine", "a", "--threshold", "0.4", "--redo", cwd=copied).returncode == 0
    assert tree(copied / "a" / "generate") == drawn


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate"], "no class is named"),
        (["generate", "--classes", ""], "a class name is empty"),
        (["generate", "--classes", "dog,,cat"], "a class name is empty"),
        (["generate", "--classes", "../../etc"], "looks like a path"),
        (["generate", "--classes", "dog/cat"], "looks like a path"),
        (["generate", "--classes", "x" * 500], "500 characters"),
        (["generate", "--classes", "собака"], "Latin letters"),
        (["generate", "--classes", "dog", "--classes-file", "f"], "not both"),
        (["generate", "--classes-file", "none.txt"], "none.txt cannot be read"),
        (["generate", "--classes", "dog", "--model", "sd14"], "sd15"),
        (["generate", "--classes", "dog", "--num", "0"], "num"),
        (["generate", "--classes", "dog", "--seed", "-1"], "seed"),
        (["generate", "--classes", "dog", "--width", "100"], "width"),
        (["generate", "--classes", "dog", "--corpus", "none.csv"], "none.csv"),
        (["generate", "--classes", "dog", "--corpus", "captions.csv", "--column", "txt"], "text"),
        (["generate", "--classes", "dog", "--config", "bad.yaml"], "did you mean 'steps'?"),
        (["run", "--config", "kitti.yaml"], "coco"),
        (["generate", "--config", "plugin.yaml"], "install the package that brings the stage 'flip'"),
        (["generate", "--classes", "dog", "--set", "refine.thresold=0.4"], "did you mean 'threshold'?"),
        (["generate", "--classes", "dog", "--set", "nonsense"], "section.name=value"),
        (["generate", "--classes", "dog", "--set", "num=2001-99-99"], "not valid YAML"),
        (["generate", "--classes", "dog", "--set", "num=" + "[" * 5000], "not valid YAML"),
        (["generate", "--classes", "dog", "--out", "o" * 300], "File name too long"),
        (["generate", "--classes", "dog", "--objects", "3-1"], "objects"),
        (["generate", "--classes", "dog", "--out", "captions.csv"], "is a file"),
        (["generate", "--classes", "dog", "--out", "thesis"], "not empty and not a dsfactory run"),
        (["refine", "none"], "is not there"),
        (["refine", "thesis"], "not a dsfactory run"),
        (["refine"], "no run under"),
        (["export", "thesis"], "not a dsfactory run"),
        (["export", "thesis", "--format", "cocoo"], "coco"),
        (["status"], "no run under"),
        (["run", "--classes", "dog", "--format", "kitti"], "coco"),
        (["models", "check", "sd14"], "sd15"),
        (["nonsense"], "No such command"),
        (["generate", "--nmu", "3"], "--num"),
    ],
)
def test_a_mistake_is_one_clear_line_and_nothing_is_written(tmp_path, arguments, says):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("mine")
    (tmp_path / "captions.csv").write_text("id,text\n1,a dog on the grass\n")
    (tmp_path / "bad.yaml").write_text("generate: {stepz: 3}\n")
    (tmp_path / "kitti.yaml").write_text("classes: dog\nformats: kitti\nout: a\n")
    (tmp_path / "plugin.yaml").write_text("classes: dog\nflip: {num: 3}\n")
    before = tree(tmp_path)
    done = called(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.startswith("dsfactory: ")
    assert tree(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.yaml",
        "captions.csv",
        "kitti.yaml",
        "plugin.yaml",
        "thesis",
    ]


def test_a_hub_that_cannot_be_reached(tmp_path):
    done = command("generate", "--classes", "dog", "--model", "sd15", cwd=tmp_path, HF_HOME=str(tmp_path / "hf"),
                   HF_ENDPOINT="http://127.0.0.1:9")  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "--model pocket" in done.stderr and "--model FOLDER" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_class_that_no_caption_mentions_is_drawn_from_templates(tiny_model, tmp_path):
    done = run_tiny(tiny_model, "generate", "--classes", "quokka", "--num", "2", "--out", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "templates" in done.stderr and "quokka" in done.stderr


def test_refine_before_generate(copied, tmp_path):
    shutil.rmtree(tmp_path / "a" / "refine")
    for path in (tmp_path / "a" / "generate").iterdir():
        path.unlink()
    done = called("refine", "a", cwd=tmp_path)
    assert done.returncode == 2
    assert "dsfactory generate" in done.stderr
    done = called("export", "a", cwd=tmp_path)
    assert done.returncode == 2
    assert "dsfactory refine" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_named_and_the_run_goes_on_after(tiny_model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        done = call_tiny(tiny_model, "generate", "--out", "disk/a", "--num", "10", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "no space left" in done.stderr.strip().splitlines()[-1]
        assert not list((disk / "a").rglob(".*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        done = call_tiny(tiny_model, "generate", "--out", "disk/a", "--num", "10", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_locked_run_names_its_holder(copied, tmp_path):
    code = "import fcntl; f = open('a/.lock'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        done = called("refine", "a", cwd=tmp_path)
        holder.kill()
    assert done.returncode == 4
    assert "is in use by" in done.stderr


def test_a_signal_stops_cleanly_and_the_same_command_goes_on(tiny_model, tmp_path):
    arguments = ["generate", "--out", "a", "--num", "30", "--shard-size", "4"]
    child = run_tiny(tiny_model, *arguments, cwd=tmp_path, wait=False)
    wait_for(tmp_path / "a" / "generate" / "00001.parquet")
    child.terminate()
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 5
    assert "run the same command again" in errors
    assert not list(tmp_path.rglob(".*.tmp"))


def wait_for(path: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)
