"""``dsfactory judge`` as a user meets it."""

import json
import re

import pytest

from tests.command import called
from tests.stages.filter.scenes import draw_scene, make_run, scenes_with_noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    make_run(folder / "a", [draw_scene(number) for number in range(8)])
    make_run(folder / "b", scenes_with_noise(8, 3))
    return folder


def test_the_page_asks_each_pair_in_both_orders_and_its_answers_are_scored(folder):
    done = called("judge", "a", "b", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pairs"] == 6  # where they differ
    page = (folder / "judge.html").read_text()
    asked = json.loads(re.search(r"id=q>(.*?)</script>", page)[1])
    assert sorted((one["image"], one["left"]) for one in asked) == sorted(
        (f"{number:08d}", side) for number in range(3) for side in "ab"
    )
    assert "http" not in page
    lines = [{**one, "answer": "left" if one["left"] == "a" else "right"} for one in asked]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "broken\n")
    done = called("judge", "--answers", "answers.jsonl", cwd=folder)
    assert done.returncode == 3 and "line 7 is no answer" in done.stderr
    assert done.stdout.splitlines()[0].startswith("a ") and "0% of the pairs" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a"], "judge takes two to six"),
        ([], "name two or more"),
        (["a", "b", "--answers", "x"], "name two or more"),
        (["--answers", "nowhere"], "nowhere"),
        (["a", "same"], "do not differ"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, arguments, says, tmp_path):
    if "same" in arguments:
        make_run(folder / "same", [draw_scene(number) for number in range(8)])
    done = called("judge", *arguments, "--out", str(tmp_path / "page.html"), cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
