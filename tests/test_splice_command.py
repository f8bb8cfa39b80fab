import json
import shutil

import pytest

from dsfactory.core.run import Run
from dsfactory.dataset.split import split_of
from dsfactory.stages.splice.stage import SpliceStage
from tests.command import called, command, tree
from tests.stages.splice.runs import label, labelled_run

FIRST = SpliceStage.first
SPLICE = ["--num", "12", "--mix", "1x2,2x2", "--paste", "6"]


@pytest.fixture(scope="module")
def spliced(tmp_path_factory):
    """A run of 24 samples with 12 mosaics and 6 paste compositions. Not to be changed."""
    folder = tmp_path_factory.mktemp("spliced")
    labelled_run(folder / "a", 12)
    done = called("splice", "a", *SPLICE, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads(done.stdout)["stages"]
    assert (stage["stage"], stage["samples"], stage["made"], stage["statuses"]) == ("splice", 18, 18, {"ok": 18})
    return folder


@pytest.fixture
def folder(spliced, tmp_path):
    """A copy to be worked on."""
    shutil.copytree(spliced / "a", tmp_path / "a")
    return tmp_path


def images(folder, split):
    return json.loads((folder / f"annotations/instances_{split}.json").read_text())["images"]


def test_words_and_silence(folder):
    again = called("splice", "a", *SPLICE, cwd=folder)
    assert "splice    18 samples (nothing to do, all finished earlier)" in again.stdout
    assert "dsfactory export a --format coco" in again.stdout
    quiet = called("splice", "a", *SPLICE, "--num", "13", "--quiet", cwd=folder)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    shown = json.loads(called("status", "a", "--json", cwd=folder).stdout)["stages"][-1]
    assert (shown["stage"], shown["samples"], shown["of"]) == ("splice", 19, 19)
    assert "splice    19 of 19 finished" in called("status", "a", cwd=folder).stdout


def test_export_takes_splices_into_train_only(folder):
    assert called("export", "a", "--format", "coco,voc", cwd=folder).returncode == 0
    train, val = (images(folder / "a/export/coco", split) for split in ("train", "val"))
    mosaics = [image for image in train if image["id"] > FIRST]
    assert len(mosaics) == 18
    assert not [image for image in val if image["id"] > FIRST]
    assert val, "without a val single the test says nothing"
    in_val = {image["file_name"].split(".")[0] for image in val}
    assert in_val.isdisjoint(key for image in mosaics for key in image["sources"])
    lists = {name: (folder / f"a/export/voc/ImageSets/Segmentation/{name}.txt").read_text().split()
             for name in ("train", "val")}  # fmt: skip
    assert len([key for key in lists["train"] if int(key) >= FIRST]) == 18
    assert not [key for key in lists["val"] if int(key) >= FIRST]
    checked = called("verify", "a", cwd=folder)
    assert checked.returncode == 0, checked.stdout
    assert "5 splice shards" in checked.stdout
    assert "changed since" not in checked.stdout


def test_every_format_takes_splices(folder):
    from dsfactory.formats import FORMATS

    done = called("export", "a", "--format", ",".join(FORMATS), "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    totals = {item["format"]: sum(item["images"].values()) for item in json.loads(done.stdout)}
    assert totals == dict.fromkeys(FORMATS, 24 + 18)


def test_no_splice_leaves_them_out(folder):
    plain = labelled_run(folder / "plain", 12)
    assert called("export", "a", "--no-splice", cwd=folder).returncode == 0
    assert called("export", str(plain), cwd=folder).returncode == 0
    assert tree(folder / "a/export") == tree(plain / "export")
    assert called("verify", "a/export/coco", cwd=folder).returncode == 0
    refused = called("export", "a", cwd=folder)
    assert refused.returncode == 2
    assert "add --redo to replace it" in refused.stderr


def test_larger_val_share_would_leak_and_is_refused(folder):
    refused = called("export", "a", "--val-share", "0.4", cwd=folder)
    assert refused.returncode == 2
    assert "its splice samples keep clear of the val split up to --val-share 0.1, not 0.4" in refused.stderr
    assert not (folder / "a/export").exists()
    assert called("splice", "a", *SPLICE, "--val-share", "0.4", "--redo", cwd=folder).returncode == 0
    assert called("export", "a", "--val-share", "0.4", cwd=folder).returncode == 0
    mosaics = [image for image in images(folder / "a/export/coco", "train") if image["id"] > FIRST]
    assert mosaics
    assert all(split_of(key, 0.4) == "train" for image in mosaics for key in image["sources"])


def test_stale_splices_are_not_exported(folder):
    run = Run.open(folder / "a")
    run.grow(28, 4)
    label(run)
    refused = called("export", "a", cwd=folder)
    assert refused.returncode == 2
    assert "the kept samples have changed since 'splice' used them" in refused.stderr
    assert called("export", "a", "--no-splice", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--num", "0"], "nothing to splice: ask for mosaics with --num"),
        (["--size", "3"], "splice.size: input should be greater than or equal to 64"),
        (["--size", "100000"], "less than or equal to 4096"),
        (["--mix", "2by2"], "'2by2' is no grid of a mosaic"),
        (["--val-share", "2"], "splice.val_share"),
        (["--set", "splice.blurr=1"], "did you mean 'blur'?"),
        (["--num", "many"], "--num"),
    ],
)
def test_bad_input_is_one_line(tmp_path, flags, said):
    path = labelled_run(tmp_path / "a", 3)
    before = tree(path)
    done = called("splice", "a", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert tree(path) == before


def test_run_without_labels_and_no_run(tmp_path):
    assert "is not there" in called("splice", "nowhere", cwd=tmp_path).stderr
    path = labelled_run(tmp_path / "a", 3)
    shutil.rmtree(path / "refine")
    refused = called("splice", "a", cwd=tmp_path)
    assert refused.returncode == 2
    assert "has no masks yet: run 'dsfactory refine a' first" in refused.stderr


def test_help_names_the_defaults(tmp_path):
    shown = " ".join(command("splice", "--help", cwd=tmp_path, COLUMNS="200").stdout.split())
    for text in ("[default: 100]", "[default: the newest under ./runs]", "nothing of val leaks"):
        assert text in shown
