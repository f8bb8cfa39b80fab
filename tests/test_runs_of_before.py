"""Runs that were made before the house was rebuilt (commit 2bf85d9) go on, verify, and export to the same bytes."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from dsfactory.core.stage import fingerprint
from dsfactory.errors import UserError
from dsfactory.jobs.export import ExportOptions, export_job
from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.settings import merge_settings
from dsfactory.runner.progress import Silent
from dsfactory.stages import STAGES, RunConfig
from dsfactory.verify import verify_path
from tests.command import tree

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "runs-2bf85d9.json").read_text())
BASE = {"classes": [{"name": "dog"}, {"name": "bird", "synonyms": ["sparrow"]}], "seed": 7,
        "generate": {"dtype": "fp32"}, "prompts": {"pool": 1000}}  # fmt: skip
"""What their ``config.yaml`` says where the defaults are others today."""


@pytest.fixture
def runs(tmp_path):
    with tarfile.open(FIXTURES / "runs-2bf85d9.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix().encode()
            found.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, cases in EXPECTED["fingerprints"].items() for case in cases]
)
def test_fingerprints_are_what_they_were(name, case, monkeypatch, tmp_path):
    expected = EXPECTED["fingerprints"][name][case]
    monkeypatch.setattr("dsfactory.stages.splice.stage.pool_fingerprint", lambda run, inputs: "sources")
    config = RunConfig.model_validate(merge_settings(BASE, expected["settings"]))
    stage = STAGES[name].build(config, tmp_path / "run")
    identity = stage.identity()
    if name == "filter":  # what follows from its cross-validation
        identity |= {"samples": 6, "judged": "judged", "scores": "scores"}
    upstream = "" if name in ("splice", "annotate") else "upstream"
    assert fingerprint(stage.folder, stage.version, identity, upstream) == expected["fingerprint"]


@pytest.mark.parametrize("name", sorted(EXPECTED["exports"]))
def test_exports_have_the_same_bytes(name, runs):
    run, format = name.split("/")
    export_job(runs / run, format, runs / "out" / format, 0.1, options=ExportOptions(provenance=False))
    assert digest(runs / "out" / format) == EXPECTED["exports"][name]


@pytest.mark.parametrize("name", ["drawn", "given"])
def test_they_verify(name, runs):
    assert verify_path(runs / name, Silent()).faults == []


def test_a_run_goes_on_generating_unchanged(runs):
    run, before = runs / "drawn", tree(runs / "drawn")
    summary = run_job(Request(("prompts", "generate"), run, flags={"num": 3}), Silent())
    assert [(stage.samples, stage.made) for stage in summary.stages] == [(6, 2)] * 2
    after = tree(run)
    changed = {name for name, data in before.items() if after.get(name) != data}
    assert changed == {"run.json", "config.yaml"}


@pytest.mark.parametrize(("name", "change"), [("refine", "algorithm version: 6 → 7"),
                                              ("filter", "algorithm version: 3 → 4"),
                                              ("splice", "min_object: null → 12.0")])  # fmt: skip
def test_a_stage_whose_output_has_changed_refuses_and_says_how_to_go_on(name, change, runs):
    before = tree(runs / "drawn")
    with pytest.raises(UserError, match=rf"{name} was made with other settings .*{change}.*add --redo"):
        run_job(Request((name,), runs / "drawn"), Silent())
    assert tree(runs / "drawn") == before


def test_pictures_that_were_labelled_before_are_known_and_refined_again(runs):
    summary = run_job(Request(("refine",), runs / "given", redo=True), Silent())
    assert [(stage.samples, stage.made) for stage in summary.stages] == [(2, 2)]
    assert summary.given
