"""``dsfactory select`` as a user meets it, on a run of rendered scenes."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command import called, tree
from tests.stages.filter.scenes import draw_scene, make_run


def rows(run: Path) -> list[dict]:
    return [row for path in sorted((run / "select").glob("0*.parquet")) for row in pq.read_table(path).to_pylist()]


def chosen(run: Path) -> list[str]:
    return [row["key"] for row in sorted(rows(run), key=lambda row: row["place"] or 0) if row["selected"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of 20 scenes, one of them a copy. Not to be changed."""
    folder = tmp_path_factory.mktemp("select")
    make_run(folder / "a", [draw_scene(number if number != 8 else 6) for number in range(20)])
    done = called("select", "a", "--num", "6", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


@pytest.fixture
def run(folder, tmp_path):
    shutil.copytree(folder / "a", tmp_path / "a")
    return tmp_path / "a"


def test_it_says_what_was_chosen_and_classes_take_turns(folder):
    said = (folder / "said.txt").read_text()
    assert "6 of 20 samples chosen by cover: disc 3, square 3" in said
    assert "export a --selected" in said
    found = {row["key"]: row for row in rows(folder / "a")}
    assert sorted(row["place"] for row in found.values() if row["selected"]) == [1, 2, 3, 4, 5, 6]
    assert found["00000008"]["reason"] == "nearly a copy of 00000006"
    assert all(row["status"] == ("ok" if row["selected"] else "dropped") for row in found.values())


def test_more_only_adds_and_nothing_is_deleted(run):
    first, before = chosen(run), tree(run / "refine")
    done = called("select", "a", "--num", "10", cwd=run.parent)
    assert done.returncode == 0 and "10 samples are asked for, 6 before" in done.stderr
    assert chosen(run)[:6] == first and len(chosen(run)) == 10
    assert tree(run / "refine") == before
    assert called("verify", "a", cwd=run.parent).returncode == 0


@pytest.mark.parametrize("by", ["cluster", "random", "near-real"])
def test_other_rules_choose_too(by, run):
    real = run.parent / "real"
    real.mkdir()
    from PIL import Image

    for number in (3, 5):
        Image.fromarray(draw_scene(number).image).save(real / f"{number}.png")
    (real / "broken.png").write_bytes(b"no image")
    more = ["--real", "real"] if by == "near-real" else []
    done = called("select", "a", "--by", by, "--per", "all", "--num", "3", "--redo", *more, cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert len(chosen(run)) == 3
    if by == "near-real":
        assert {*chosen(run)} >= {"00000003", "00000005"}


def test_an_export_of_the_choice_holds_it_alone_and_verifies(run):
    done = called("export", "a", "--selected", "--format", "coco", "--json", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout)[0]["images"].values()) == 6
    assert {path.stem for path in (run / "export/coco").rglob("*.png")} == {*chosen(run)}
    assert called("verify", "a/export/coco", cwd=run.parent).returncode == 0
    assert called("export", "a", "--out", "all", cwd=run.parent).returncode == 0
    assert len([*(run.parent / "all").rglob("*.png")]) == 20


def test_what_changes_afterwards_is_chosen_again_not_mixed(run):
    shutil.rmtree(run / "select")
    done = called("export", "a", "--selected", cwd=run.parent)
    assert done.returncode == 2 and "run 'dsfactory select a' first" in done.stderr
    assert called("select", "a", "--num", "6", cwd=run.parent).returncode == 0
    (run / "select/choice.json").write_text("{}")
    done = called("verify", "a", cwd=run.parent)
    assert "the places that select gave are gone or changed" in done.stdout
    assert called("select", "a", cwd=run.parent).returncode == 0
    assert called("verify", "a", cwd=run.parent).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--num", "0"], "select.num"),
        (["--by", "near-real"], "name their folder with --real DIR"),
        (["--by", "near-real", "--real", "nowhere", "--redo"], "is no folder"),
        (["--by", "hard", "--redo"], "two are needed at least"),
        (["--by", "hard", "--judges", "nowhere,a", "--redo"], "is no folder of a checkpoint"),
        (["--by", "random"], "add --redo"),
        (["--per", "shape", "--redo"], "has no such column of words: use class, all"),
        (["--features", "nowhere", "--redo"], "there is no image model"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, arguments, says):
    before = tree(run / "select")
    done = called("select", "a", *arguments, cwd=run.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    if "--redo" not in arguments:
        assert tree(run / "select") == before


def test_more_than_there_are_is_said(run):
    done = called("select", "a", "--num", "99", cwd=run.parent)
    assert done.returncode == 0 and "99 are asked for" in done.stderr


@pytest.mark.long
def test_hard_ones_are_those_that_all_judges_fail_and_one_judge_is_refused(tmp_path):
    quick = ["--folds", "2", "--device", "cpu", "--set", "filter.segment.steps=40",
             "--set", "filter.segment.batch_size=4",
             "--set", "filter.segment.side=32", "--set", "filter.segment.learning_rate=0.004",
             "--set", "filter.min_agreement=0", "--set", "filter.min_quality=0"]  # fmt: skip
    for name, first in (("a", 0), ("b", 40)):
        make_run(tmp_path / name, [draw_scene(first + number) for number in range(12)])
        assert called("filter", name, *quick, cwd=tmp_path).returncode == 0
    done = called("select", "a", "--by", "hard", "--num", "4", cwd=tmp_path)
    assert done.returncode == 2 and "two are needed at least" in done.stderr
    done = called("select", "a", "--by", "hard", "--num", "4", "--judges", "b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [row for row in rows(tmp_path / "a") if row["trust"] is not None]
    assert found and all(len(row["judges"]) == 2 for row in found)
    assert all(max(row["judges"]) < 0.5 for row in found if row["selected"])
    assert all(min(row["judges"]) >= 0 for row in found)
