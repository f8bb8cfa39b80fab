"""``--dry-run``: nothing is written, the counts are those of the real thing, and it refuses what that refuses."""

import json

import pytest

from tests.command import call_tiny, called, tree
from tests.evaluate.folders import write_voc
from tests.stages.splice.runs import labelled_run
from tests.test_annotate_command import annotate, draw
from tests.test_evaluate_command import SMALL, make_run


def dry(*arguments, cwd):
    done = called(*arguments, "--dry-run", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["dry_run"]
    return found


def test_splice(tmp_path):
    labelled_run(tmp_path / "a", 6)
    there = tree(tmp_path)
    (found,) = dry("splice", "a", "--num", "3", "--paste", "2", "--mix", "2x2=1", cwd=tmp_path)["stages"]
    assert (found["to_make"], found["finished"], found["measured"], found["seconds"]) == (5, 0, False, None)
    assert tree(tmp_path) == there
    done = called("splice", "a", "--num", "3", "--paste", "2", "--mix", "2x2=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = sum(path.stat().st_size for path in (tmp_path / "a/splice").glob("0*"))
    there = tree(tmp_path)
    (more,) = dry("splice", "a", "--num", "9", "--paste", "1", "--mix", "2x2=1", cwd=tmp_path)["stages"]
    assert (more["to_make"], more["finished"], more["measured"]) == (6, 5, True)
    assert more["bytes"] == pytest.approx(made / 5 * 6, abs=1)
    assert more["seconds"] is not None
    (again,) = dry("splice", "a", "--num", "4", "--redo", cwd=tmp_path)["stages"]
    assert (again["to_make"], again["finished"]) == (6, 0)  # the two pastes are in the run's settings
    for flags, said in (
        (["--num", "0", "--paste", "0"], "nothing to splice"),
        (["--mix", "1x2=1"], "made with other settings"),
    ):
        refused = called("splice", "a", "--dry-run", *flags, cwd=tmp_path)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert tree(tmp_path) == there


def test_export(tmp_path):
    labelled_run(tmp_path / "a", 12, rejected=(1, 2))
    there = tree(tmp_path)
    found = dry("export", "a", "--format", "coco,voc", "--val-share", "0.5", cwd=tmp_path)
    assert [(item["stage"], item["to_make"], item["finished"]) for item in found["stages"]] == [
        ("coco", 22, 0), ("voc", 22, 0),
    ]  # fmt: skip
    assert tree(tmp_path) == there
    done = called("export", "a", "--format", "coco,voc", "--val-share", "0.5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for item in found["stages"]:
        folder = tmp_path / "a/export" / item["stage"]
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert item["bytes"] == pytest.approx(size, rel=0.35)
        assert item["seconds"] > 0
    words = called("export", "a", "--format", "voc", "--val-share", "0.5", "--dry-run", cwd=tmp_path)
    assert "voc       0 to make, 22 finished" in words.stdout
    for flags, said in ((["--format", "coco"], "holds another export"), (["--format", "cooc"], "did you mean 'coco'")):
        refused = called("export", "a", "--dry-run", *flags, cwd=tmp_path)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    anew = dry("export", "a", "--format", "coco", "--redo", cwd=tmp_path)["stages"][0]
    assert (anew["to_make"], anew["finished"], anew["basis"]) == (22, 0, "the pace of 8 exported on trial")


def test_evaluate(tmp_path):
    make_run(tmp_path / "a")
    write_voc(tmp_path / "real")
    there = tree(tmp_path)
    arguments = ["evaluate", "a", "--real", "real", *SMALL, "--steps", "4"]
    found = dry(*arguments, "--repeats", "2", cwd=tmp_path)
    assert [(item["unit"], item["to_make"], item["seconds"]) for item in found["stages"]] == [
        ("trainings of 4 steps", 6, None)
    ]
    assert "6 synthetic" in found["about"]
    assert tree(tmp_path) == there
    done = called(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert dry(*arguments, cwd=tmp_path)["stages"][0]["seconds"] > 0
    other = dry(*arguments, "--segmenter", "efficientnet-lite0", cwd=tmp_path)
    assert other["stages"][0]["seconds"] is None  # another network has another pace
    refused = called("evaluate", "a", "--real", "nowhere", "--dry-run", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.long
def test_annotate(tiny_model, tmp_path):
    for number in range(3):
        draw(tmp_path / "in" / f"{number}.png", number)
    there = tree(tmp_path)
    arguments = ["in", "--classes", "dog", "--out", "a", "--min-presence", "off", "--json"]
    found = json.loads(annotate(tiny_model, *arguments, "--dry-run", "--format", "coco,voc", cwd=tmp_path).stdout)
    assert [(item["stage"], item["to_make"]) for item in found["stages"]] == [
        ("annotate", 3), ("refine", 3), ("coco", 3), ("voc", 3),
    ]  # fmt: skip
    assert tree(tmp_path) == there
    assert annotate(tiny_model, *arguments, cwd=tmp_path).returncode == 0
    draw(tmp_path / "in" / "new.png", 7)
    more = json.loads(annotate(tiny_model, *arguments, "--dry-run", cwd=tmp_path).stdout)["stages"]
    assert [(item["to_make"], item["finished"]) for item in more[:2]] == [(1, 3), (1, 3)]
    assert more[0]["seconds"] > 0
    refused = annotate(tiny_model, "nowhere", "--classes", "dog", "--dry-run", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_run_counts_its_exports(tiny_model, tmp_path):
    done = call_tiny(tiny_model, "run", "--dry-run", "--format", "coco,yolo", "--out", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["prompts", "generate", "refine", "coco", "yolo"]
    assert all("6 to make, 0 finished" in line for line in lines[1:6])
    assert lines[-1] == "nothing was written (--dry-run)"
    assert not tree(tmp_path)
    unknown = call_tiny(tiny_model, "run", "--dry-run", "--corpus", "nowhere.csv", "--out", "a", cwd=tmp_path)
    assert (unknown.returncode, "nowhere.csv" in unknown.stderr) == (2, True)
