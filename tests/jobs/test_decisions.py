"""A person keeps and rejects samples on the report page: the file that it saves changes what a run exports."""

import json
import shutil
from pathlib import Path

import pytest

from dsfactory.core.run import Run
from dsfactory.dataset.corrections import Corrections, digest
from dsfactory.jobs.corrections import forget_fixes
from dsfactory.jobs.export import plan_exports
from dsfactory.jobs.samples import samples_of
from dsfactory.jobs.status import status_of
from tests.command import called
from tests.report.made_run import made_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """12 samples: 2 and 8 are rejected, 3 and 9 failed, 4 and 10 dropped by filter. Not to be changed."""
    return made_run(tmp_path_factory.mktemp("made") / "run", filter=3)


@pytest.fixture
def run(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "a"))


def keys(run: Path) -> list[str]:
    return [sample.key[-2:] for sample in samples_of(run, 0.1).samples()]


def decide(run: Path, *more: str, **decisions: str):
    """Import a file of decisions on samples, which are named ``_00``, ``_01`` and on."""
    opened = Run.open(run)
    images = {one.key: one.files.get("image.png", b"") for spec in opened.shards()
              for one in opened.reader("generate", spec).records()}  # fmt: skip
    samples = {f"000000{key[1:]}": choice for key, choice in decisions.items()}
    content = {
        key: {"decision": choice, "image_sha256": digest(images.get(key, b""))} for key, choice in samples.items()
    }
    (run.parent / "decisions.json").write_text(json.dumps({"dsfactory": "decisions", "samples": content}))
    return called("import", run.name, "decisions.json", *more, cwd=run.parent)


def test_rejected_samples_leave_the_exports_and_kept_ones_stay_whatever_filter_says(run):
    assert keys(run) == ["00", "01", "05", "06", "07", "11"]
    before = samples_of(run, 0.1).fingerprint
    tried = decide(run, "--dry-run", _00="reject", _04="keep", _05="keep")
    assert "2 kept, 1 rejected, 0 unchanged (--dry-run" in tried.stdout and not (run / "fixes").exists()
    done = decide(run, _00="reject", _04="keep", _05="keep")
    assert done.returncode == 0 and done.stdout.startswith("import    2 kept, 1 rejected, 0 unchanged\nnext: ")
    assert keys(run) == ["01", "04", "05", "06", "07", "11"] and samples_of(run, 0.1).count() == 6
    assert samples_of(run, 0.1).fingerprint != before
    assert status_of(run)["decisions"] == {"keep": 2, "reject": 1}
    assert "3 samples corrected or decided on (2 kept and 1 rejected)" in called("status", "a", cwd=run.parent).stdout
    assert "3 unchanged" in decide(run, _00="reject", _04="keep", _05="keep").stdout
    assert "1 kept, 0 rejected" in decide(run, _00="keep").stdout and "00" in keys(run)
    forget_fixes(run, "all")
    assert samples_of(run, 0.1).fingerprint == before


def test_a_corrected_mask_outlives_that_its_sample_is_rejected(run):
    mask = next(sample for sample in samples_of(run, 0.1).samples() if sample.key.endswith("07"))
    decide(run, _07="keep")
    path = run / "fixes" / "fixes.json"
    entries = json.loads(path.read_text())
    entries["00000007"] |= {"format": "png"}
    del entries["00000007"]["decision"]  # as if it had been mended
    path.write_text(json.dumps(entries))
    decide(run, _07="reject")
    assert "07" not in keys(run)
    decide(run, _07="keep")
    again = next(sample for sample in samples_of(run, 0.1).samples() if sample.key.endswith("07"))
    assert again.mask_png == mask.mask_png and Corrections.of(run).entries["00000007"].decision == ""


def test_what_cannot_be_decided_is_named_and_the_rest_is_taken(run):
    done = decide(run, _00="reject", _03="reject", _99="keep")
    assert done.returncode == 3 and done.stdout.startswith("import    0 kept, 1 rejected, 0 unchanged, 2 refused")
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["00000003", "00000099"]
    text = (run.parent / "decisions.json").read_text()
    for wrong in (text.replace('"reject"', '"maybe"'), text.replace("image_sha256", "hash")):
        (run.parent / "decisions.json").write_text(wrong)
        failed = called("import", "a", "decisions.json", cwd=run.parent)
        assert failed.returncode == 2 and "is no file of decisions (sample 00000000)" in failed.stderr


def test_a_decision_is_no_correction(run):
    decide(run, _00="keep", _01="reject")
    samples = samples_of(run, 0.1, keep_empty=True)
    found = {sample.key[-2:]: sample.corrected for sample in samples.samples()}
    assert "01" not in found and found["00"] is False and samples.count() == len(found)
    assert plan_exports(run, "coco", None, 0.1).settings["corrected"] is False
