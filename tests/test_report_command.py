"""``dsfactory report`` as users meet it: files, exit codes, one line for what cannot be done."""

import json
import os

import pytest

from tests.command import call_tiny, called, tree
from tests.report.dom import Dom
from tests.report.made_run import made_run


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path / "run")


@pytest.mark.long
def test_a_drawn_run_has_a_page(tiny_model, tmp_path):
    assert call_tiny(tiny_model, "run", "--out", "a", "--set", "refine.min_box=0", cwd=tmp_path).returncode == 0
    before = tree(tmp_path / "a")
    done = called("report", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a/report.html: all 6 samples")
    page = Dom(tmp_path / "a" / "report.html")
    assert {sample["state"] for sample in page.data["samples"]} <= {"kept", "rejected"}
    assert "64 × 64" in page.text or "width 64" in " ".join(page.text.split())
    assert {path: data for path, data in tree(tmp_path / "a").items() if path != "report.html"} == before
    first = (tmp_path / "a" / "report.html").read_bytes()
    assert called("report", "a", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a" / "report.html").read_bytes() == first


def test_summary_for_scripts(run, tmp_path):
    done = called("report", "run", "--json", "--max-samples", "5", "--out", "pages/one.html", cwd=tmp_path)
    summary = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (summary["samples"], summary["shown"], summary["damaged"]) == (12, 5, [])
    assert summary["bytes"] == (tmp_path / "pages" / "one.html").stat().st_size
    assert called("report", "run", "--quiet", cwd=tmp_path).stdout == ""


def test_only_a_page_of_ours_is_replaced(run, tmp_path):
    (tmp_path / "thesis.html").write_text("<!doctype html><p>Years of work")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.html").symlink_to(tmp_path / "elsewhere.html")
    os.mkfifo(tmp_path / "pipe.html")
    before = {path.name for path in tmp_path.iterdir()}
    for out in ("thesis.html", "folder", "link.html", "pipe.html"):
        done = called("report", "run", "--out", out, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), out
        assert out in done.stderr and "--out" in done.stderr
    assert (tmp_path / "thesis.html").read_text().endswith("Years of work")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_not_a_run(tmp_path):
    done = called("report", str(tmp_path), cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "is not a dsfactory run" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_is_said_and_the_rest_is_shown(run, tmp_path):
    tar = run / "refine" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:-1024])
    done = called("report", "run", cwd=tmp_path)
    assert done.returncode == 3
    assert "damaged: " in done.stderr and "00001.tar" in done.stderr
    page = Dom(run / "report.html")
    assert "Damaged, and left out here" in page.text
    assert len(page.data["samples"]) == 8
