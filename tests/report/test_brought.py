"""The page of a run that stages of somebody else made: their samples, their scores and what they say of themselves."""

import json

import pytest

from dsfactory.report.job import report_job
from dsfactory.runner.progress import Silent
from tests.brought import bring, brought_run
from tests.report.dom import Dom


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        bring(patch)
        yield brought_run(tmp_path_factory.mktemp("brought") / "a")


@pytest.fixture
def dom(run, tmp_path):
    summary = report_job(run, tmp_path / "page.html", 100, Silent())
    assert (summary.samples, summary.damaged) == (6, [])
    return Dom(tmp_path / "page.html")


def test_its_samples_are_in_the_gallery_with_their_scores(dom):
    samples = dom.data["samples"]
    assert [sample["state"] for sample in samples] == ["kept"] * 6
    assert [sample["scores"]["glow"] for sample in samples] == [0, 10, 20, 30, 40, 50]
    assert [item["name"] for item in dom.data["scores"]] == ["glow"]
    assert all(sample["layers"].keys() == {"image", "mask", "edge"} for sample in samples)


def test_a_stage_with_samples_of_its_own_has_a_section(dom):
    assert [item["kind"] for item in dom.data["sections"]["echo"]] == ["loud"] * 3
    assert dom.all("ul", **{"data-section": "echo"})
    assert "Echo" in dom.text and "3 more training images" in dom.text


def test_each_stage_says_what_it_made(dom):
    words = " ".join(dom.text.split())
    assert {"squares", "glow", "echo"} <= set(dom.texts["h3"])
    assert "brightest" in words and "50" in dom.texts["dd"]
    assert "6 images of 2 classes, 6 of them labelled." in words


def test_the_commands_are_theirs(dom):
    lines = next(text for text in dom.texts["code"] if text.startswith("dsfactory")).splitlines()
    assert lines[0] == "dsfactory squares --classes dog,bird --set num=6 --shard-size 2 --out runs/again"
    assert lines[1:] == ["dsfactory glow runs/again", "dsfactory echo runs/again"]


def test_samples_whose_sources_have_changed_are_left_out_and_said(run, tmp_path):
    path = run / "echo" / "stage.json"
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), "identity": {"sources": "others"}}))
    try:
        report_job(run, tmp_path / "page.html", 100, Silent())
    finally:
        path.write_text(before)
    dom = Dom(tmp_path / "page.html")
    assert "What echo made is left out here" in dom.text and dom.data["sections"] == {"echo": []}
