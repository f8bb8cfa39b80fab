"""The hand-over to FiftyOne: with it where it and its database run, and up to its door where they do not."""

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.report.fiftyone import make_dataset, unpack
from dsfactory.report.source import open_source
from dsfactory.runner.progress import Silent
from tests.command import command


def test_pictures_and_masks_are_unpacked_as_fiftyone_reads_them(whole_run, tmp_path):
    found = {item.sample.key: item for item in unpack(open_source(whole_run), tmp_path, Silent())}
    run = Run.open(whole_run)
    drawn = [record for spec in run.shards() for record in run.reader("generate", spec).records()]
    labelled = [record for spec in run.shards() for record in run.reader("filter", spec).records()]
    assert len(found) == 10
    for image, masks in zip(drawn, labelled, strict=True):
        if image.row["status"] == "failed":
            assert image.key not in found
            continue
        item = found[image.key]
        assert item.image.read_bytes() == image.files["image.png"]
        with Image.open(item.mask) as mask:
            assert mask.mode == "L"
            assert np.array_equal(np.array(mask), decode_index_png(masks.files["mask.png"]))


@pytest.mark.skipif(find_spec("fiftyone") is not None, reason="FiftyOne is installed")
def test_without_fiftyone_one_line_says_what_to_do(whole_run, tmp_path):
    done = command("view", str(whole_run), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dsfactory: FiftyOne is not installed: pip install fiftyone")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_would_be_kept_needs_a_place(whole_run, tmp_path):
    for flags, says in (
        (["--no-app"], "say with --out"),
        (["--name", "mine"], "say with --out"),
        (["--out", str(whole_run)], "not an empty folder"),
    ):
        done = command("view", str(whole_run), *flags, cwd=tmp_path)
        assert (done.returncode, says in done.stderr, len(done.stderr.splitlines())) == (2, True, 1)


@pytest.fixture
def fiftyone():
    """FiftyOne with a database; it brings its own, or is pointed to one by FIFTYONE_DATABASE_URI."""
    installed = pytest.importorskip("fiftyone", reason="FiftyOne is not installed")
    try:
        installed.list_datasets()
    except Exception as error:  # whatever its database says
        pytest.skip(f"FiftyOne has no database here: {error}")
    return installed


def test_fiftyone_has_prompts_scores_status_and_masks(fiftyone, whole_run, tmp_path):
    dataset = make_dataset(open_source(whole_run), tmp_path, None, Silent())
    try:
        assert dataset.count() == 10 and dataset.media_type == "image"
        assert dataset.count_values("status") == {"kept": 6, "rejected": 2, "dropped": 2}
        assert dataset.default_mask_targets == {1: "dog", 2: "bird", 255: "void"}
        assert dataset.bounds("agreement") == pytest.approx((1 / 12, 1.0))
        first = dataset.match({"key": "00000000"}).first()
        assert first.prompt.startswith("a dog </script>") and first.seed == 2**62 and first.tags == ["kept"]
        mask = first.mask.get_mask()
        assert mask.shape == (32, 32) and {1, 255} <= set(np.unique(mask).tolist()) <= {0, 1, 255}
        assert dataset.match({"status": "dropped"}).first().reason
    finally:
        dataset.delete()
