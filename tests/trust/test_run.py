"""Trust in what a run gives: exports, the page, a limit, tables of the run's own and damaged ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import dsfactory as ds
from dsfactory.core.png import decode_index_png
from dsfactory.dataset.sample import Labels
from dsfactory.jobs.corrections import import_job
from dsfactory.jobs.export import export_job
from dsfactory.jobs.samples import samples_of
from dsfactory.report.page import build_page
from dsfactory.report.source import open_source
from dsfactory.runner.progress import Silent
from dsfactory.trust.model import Table
from dsfactory.verify import verify_path
from tests.command import called, tree


@pytest.fixture
def run_path(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "a"))


def own_table(run_path: Path, bias: float = 0.0) -> Table:
    """Give a run a table by which the objects of its images differ in trust."""
    table = Table.read()
    models = tuple(
        model.model_copy(update={"weight": tuple(0.2 * one for one in model.weight), "bias": bias})
        for model in table.models
    )
    own = table.model_copy(update={"models": models, "calibrated": "made up"})
    (run_path / "trust.json").write_bytes(own.to_bytes())
    return own


def annotations(folder: Path) -> list[dict]:
    files = sorted((folder / "annotations").glob("*.json"))
    return [one for file in files for one in json.loads(file.read_text())["annotations"]]


def test_every_object_of_an_export_says_how_far_it_can_be_trusted(run_path):
    export_job(run_path, "coco,hf,parquet,webdataset", run_path.parent / "out", 0.0)
    samples = {item.key: item for item in samples_of(run_path, 0.0).samples()}
    known = [value for item in samples.values() for value in item.trust.values()]
    assert len(known) > 3 and all(0 <= value <= 1 for value in known)
    out = run_path.parent / "out"
    assert sorted(one["score"] for one in annotations(out / "coco")) == sorted(known)
    rows = pq.read_table(out / "parquet/data").to_pylist()
    lines = [json.loads(line) for line in (out / "hf/train/metadata.jsonl").read_text().splitlines()]
    for row in (*rows, *lines):
        objects = row["objects"]
        assert dict(zip(objects["id"], objects["trust"], strict=True)) == samples[row["key"]].trust
    assert "`trust` is the probability" in (out / "parquet/README.md").read_text()
    assert verify_path(out / "coco", Silent()).faults == []


def test_a_limit_makes_doubtful_objects_ignored_and_leaves_images_without_others_out(run_path):
    own_table(run_path)
    before = {item.key: item for item in samples_of(run_path, 0.0).samples()}
    values = sorted(value for item in before.values() for value in item.trust.values())
    least = values[len(values) // 2]
    done = called("export", "a", "--min-trust", str(least), "--redo", cwd=run_path.parent)
    assert done.returncode == 0, done.stderr
    scores = [one["score"] for one in annotations(run_path / "export/coco")]
    assert sorted(scores) == [value for value in values if value >= least]
    assert verify_path(run_path / "export/coco", Silent()).faults == []
    after = {item.key: item for item in samples_of(run_path, 0.0, min_trust=least).samples()}
    assert {*after} == {key for key, item in before.items() if max(item.trust.values()) >= least}
    for key, item in after.items():
        instances = [decode_index_png(one.instances_png) for one in (before[key], item)]
        below = [number for number, value in before[key].trust.items() if value < least]
        assert np.array_equal(instances[1] == 255, (instances[0] == 255) | np.isin(instances[0], below))
        objects = Labels(decode_index_png(item.mask_png), instances[1]).objects()
        assert [one.number for one in objects] == [*range(1, len(item.trust) + 1)] == [*item.trust]
    refused = called("export", "a", "--min-trust", "0.99", cwd=run_path.parent)
    assert refused.returncode == 2 and "settings.min_trust" in refused.stderr
    assert called("export", "a", "--min-trust", "2", cwd=run_path.parent).returncode == 2


def test_what_a_person_corrected_or_kept_is_sure(run_path):
    own_table(run_path)
    key = next(samples_of(run_path, 0.0).samples()).key
    export_job(run_path, "png", run_path.parent / "png", 0.0)
    mask = next((run_path.parent / "png").rglob(f"*{key}*.png"))
    folder = run_path.parent / "masks"
    folder.mkdir()
    from PIL import Image

    square = np.zeros((64, 64), np.uint8)
    square[8:40, 8:40] = 1
    Image.fromarray(square).save(folder / f"{key}.png")
    assert mask.is_file() and import_job(run_path, folder).fixed == [key]
    found = {item.key: item.trust for item in samples_of(run_path, 0.0).samples()}
    assert found[key] == {1: 1.0} and all(
        value < 1 for other in found if other != key for value in found[other].values()
    )


def test_the_page_sorts_by_trust_and_says_what_it_is(run_path):
    own_table(run_path)
    page, _, _ = build_page(open_source(run_path), 100, Silent())
    start = page.index("{", page.index('type="application/json"'))
    data = json.JSONDecoder().raw_decode(page[start:])[0]
    assert data["scores"][0]["name"] == "trust" and "Calibrated on made up." in data["meanings"]["trust"]
    trust = {item.key: item.trust for item in samples_of(run_path, 0.0).samples()}
    for sample in data["samples"]:
        if sample["key"] in trust:
            assert sample["scores"]["trust"] == min(trust[sample["key"]].values())
            assert len(sample["perClass"]["trust"]) == len(sample["classes"])


def test_python_has_it_too(run_path):
    samples = [*ds.open_run(run_path).samples()]
    assert samples and all({*np.unique(one.instances)} - {0, 255} == {*one.trust} for one in samples)


def test_another_table_is_another_export_and_changes_nothing_in_the_run(run_path):
    before = tree(run_path / "refine")
    export_job(run_path, "coco", run_path.parent / "one", 0.0)
    own_table(run_path)
    done = called("export", "a", "--out", "one", "--val-share", "0", cwd=run_path.parent)
    assert done.returncode == 2 and "settings.trust" in done.stderr and "--redo" in done.stderr
    assert tree(run_path / "refine") == before
    (run_path / "trust.json").write_text("{}")
    for words in (("export", "a", "--out", "two"), ("trust", "show", "a"), ("report", "a")):
        done = called(*words, cwd=run_path.parent)
        assert done.returncode == 2 and "trust.json cannot be read" in done.stderr.splitlines()[-1]
