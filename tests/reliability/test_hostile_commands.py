"""Every command where it has no business: empty folders, files for folders, someone else's folder, no names at all.

In this process, which has the heavy libraries at hand; tests/test_cli.py starts processes.
"""

import os
from pathlib import Path

import pytest

from tests.command import called, tree
from tests.stages.splice.runs import labelled_run

NEEDS_RUN = [
    ["refine"], ["filter"], ["splice"], ["export"], ["report"], ["status"], ["verify"], ["verify", "--repair"],
    ["config", "show"], ["evaluate", "--real", "empty"], ["import", "--forget", "all"],
    ["import", "notes", "--format", "png"],
]  # fmt: skip
"""Commands whose first argument is a run."""

MAKES = [
    ["run", "--classes", "dog"], ["generate", "--classes", "dog"], ["annotate", "pictures", "--classes", "dog"],
]  # fmt: skip
"""Commands that make a run at --out."""

PLACES = ["empty", "notes/thesis.txt", "notes", "nowhere", "../../nowhere/x", "loop", "pipe", "/proc", "/dev/null",
          "x" * 300, "a\nb", "\x1b[2J", "ü" * 200, "notes/thesis.txt/a", "broken"]  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what users have: an empty one, notes, a link to itself, a pipe, a run that is none."""
    for name in ("empty", "notes", "pictures", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes/thesis.txt").write_text("mine")
    (tmp_path / "pictures/a.txt").write_text("no picture")
    (tmp_path / "broken/run.json").write_text('{"format": 1')
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(arguments):
    """Exit code and the lines on standard error of a command; a traceback is what pytest shows."""
    done = called(*arguments, cwd=Path.cwd())
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("dsfactory")]


def refused(arguments, place):
    before = tree(place)
    code, lines = call(arguments)
    assert code == 2, (code, lines)
    assert len(lines) == 1 and lines[0].isprintable() and len(lines[0]) < 1000, lines
    assert tree(place) == before
    return lines[0]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path[:20])
def test_a_run_that_is_none_is_refused_by_every_command(place, path):
    for command in NEEDS_RUN:
        if (command, path) == (["verify"], "broken"):
            assert call(["verify", "broken"]) == (3, [])  # what is wrong with a run is what it is asked
            continue
        first = 2 if command[0] == "config" else 1
        refused([*command[:first], path, *command[first:]], place)


TAKEN = ["notes/thesis.txt", "notes", "loop", "pipe", "/proc", "/dev/null", "notes/thesis.txt/a", "x" * 300, "broken",
         "a\0b"]  # fmt: skip


@pytest.mark.parametrize("path", TAKEN, ids=lambda path: path[:20])
def test_nothing_is_made_where_something_else_is(place, path):
    for command in MAKES:
        refused([*command, "--out", path, "--model", "pocket"], place)


@pytest.mark.parametrize("path", [*TAKEN, "nowhere/x\n"], ids=lambda path: path[:20])
def test_nothing_is_written_where_something_else_is(place, path):
    labelled_run(place / "a", 2)
    for arguments in (["export", "a", "--out", path], ["report", "a", "--out", path], ["init", path]):
        if path != "nowhere/x\n" or arguments[0] == "init":
            refused(arguments, place)


FILES = ["nowhere", "empty", "notes", "pipe/x", "loop", "x" * 300, "notes/thesis.txt"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path[:20])
def test_a_file_that_is_none(place, path):
    for arguments in (
        ["run", "--config", path],
        ["annotate", "pictures", "--classes", "dog", "--image-classes", path],
        ["annotate", path, "--classes", "dog"],
        ["prompts", "search", "dog", "--corpus", f"{path}.csv" if path == "notes/thesis.txt" else path],
        ["models", "check", f"./{path}"],
        ["run", "--classes", "dog", "--model", f"./{path}"],
    ):
        code, lines = call(arguments)
        assert code in (0, 2), (arguments, code, lines)
        assert code == 0 or len(lines) == 1, (arguments, lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--classes", "../../x"],
        ["run", "--classes", ""],
        ["run"],
        ["run", "--classes", "dog", "--num", "0"],
        ["run", "--classes", "dog", "--num", "1e9"],
        ["run", "--classes", "dog", "--num", "99999999999999999999"],
        ["run", "--classes", "dog", "--shard-size", "-1"],
        ["run", "--classes", "dog", "--format", "../../x"],
        ["run", "--classes", "dog", "--val-share", "nan"],
        ["run", "--classes", "dog", "--seed", "-1"],
        ["run", "--classes", "dog", "--budget", "soon"],
        ["run", "--classes", "dog", "--until", "25:00"],
        ["run", "--classes", "dog", "--max-gb", "nan"],
        ["run", "--classes", "dog", "--workers", "0"],
        ["run", "--classes", "dog", "--devices", "x"],
        ["run", "--classes", "dog", "--device", "toaster"],
        ["run", "--classes", "dog", "--set", "generate.steps"],
        ["run", "--classes", "dog", "--set", "generate.steps=[[["],
        ["run", "--classes", "dog", "--set", "=1"],
        ["run", "--classes", "dog", "--objects", "0-0"],
        ["run", "--classes", "dog", "--width", "65"],
        ["run", "--classes", "dog", "--corpus", "coco:x"],
        ["run", "--classes", "dog", "--nonsense"],
        ["nonsense"],
        ["models", "check", ""],
        ["export", "empty", "--format", ""],
        ["import", "empty"],
        ["import", "empty", "notes", "--forget", "all"],
        ["init", "notes/thesis.txt"],
        ["init", "nowhere/run.yaml"],
        ["init", "empty"],
        ["prompts", "search", ""],
        ["prompts", "search", "dog", "--limit", "0"],
    ],
    ids=" ".join,
)
def test_arguments_that_cannot_be(place, arguments):
    code, lines = call(arguments)
    assert code == 2 or arguments == ["prompts", "search", ""], (code, lines)
    assert len(lines) <= 1 and all(line.isprintable() for line in lines), lines
    assert not (place / "runs").exists()
