"""Rows and files that somebody sealed anew, all checksums in order: damage, said in one line by whatever reads them."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from dsfactory.core.chain import offers, serving
from dsfactory.core.png import encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import Record
from dsfactory.core.shard import ShardReader, ShardWriter
from dsfactory.errors import DamagedShard, UserError
from dsfactory.formats.folder import FolderTarget
from dsfactory.jobs.evaluate import _run_set
from dsfactory.jobs.export import export_job
from dsfactory.jobs.settings import run_config
from dsfactory.jobs.status import status_of
from dsfactory.report.job import report_job
from dsfactory.runner.progress import Silent
from dsfactory.stages import STAGES
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.stage import FilterStage
from dsfactory.verify import verify_path
from tests.making import make
from tests.stages.splice.runs import labelled_run, shapes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Eight samples in two shards. Not to be changed."""
    return labelled_run(tmp_path_factory.mktemp("made") / "a", 4)


@pytest.fixture
def run(made, tmp_path):
    return Run.open(Path(shutil.copytree(made, tmp_path / "a")))


def forge(run, change, stage="refine"):
    """Apply a change to the first record of the second shard and seal the shard anew."""
    spec = run.shards()[1]
    reader = ShardReader(run.stage_folder(stage), spec)
    records = [Record(record.key, dict(record.row), dict(record.files)) for record in reader.records()]
    change(records)
    schema = pa.Table.from_pylist([record.row for record in records]).schema
    with ShardWriter(run.stage_folder(stage), spec, schema, reader.mark.fingerprint) as writer:
        for record in records:
            writer.add(record)
        writer.commit()


def rows(**values):
    return lambda records: records[0].row.update(values)


def without(column):
    return lambda records: [record.row.pop(column) for record in records]


def other_mask(side):
    mask = encode_index_png(shapes(0, 1, side).mask)
    return lambda records: records[0].files.update({"mask.png": mask})


READERS = {
    "splice": lambda path: make("splice", path, {"splice": {"num": 4, "mix": "2x2"}}),
    "export": lambda path: export_job(path, "coco,voc", None, 0.5),
    "filter": lambda path: filter_plan(Run.open(path)),
    "evaluate": lambda path: list(_all(_run_set(Run.open(path), ()).images)),
}


def filter_plan(run):
    """What the filter would judge."""
    inputs = serving(FilterStage, offers(run, STAGES.begun(run, before=FilterStage)))
    return Plan.of_run(run, FilterConfig(), inputs, run_config(run.path))


def _all(images):
    return (images[index] for index in range(len(images)))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rows(classes=["cat"]), "sample 00000004: it names the class 'cat', which the run does not have"),
        (rows(classes=[]), "it is fine and shows no class"),
        (rows(area=[0.5, 0.5]), "the column area does not hold a value per class"),
        (rows(number=7), "sample 00000004 has the number 7"),
        (rows(key="00000009"), "keys are not those of its samples"),
        (lambda records: records[0].row.update(status=None), "the column status holds 'None'"),
        (lambda records: records.pop(), "has 3 rows for 4 samples"),
        (without("status"), "sample 00000004 has no status"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_forged_row_is_one_line(run, change, says, reader):
    forge(run, change)
    with pytest.raises(DamagedShard, match=r"refine/00001\.parquet.*" + says.replace("'", ".")):
        READERS[reader](run.path)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_not_there(run, reader):
    forge(run, lambda records: records[0].files.clear())
    if reader == "splice":  # one splice or another is made without it
        assert "has no mask.png" in READERS[reader](run.path).stages[0].damaged[0]
    else:
        with pytest.raises(DamagedShard, match=r"mask\.png"):
            READERS[reader](run.path)


@pytest.mark.parametrize("change", [other_mask(32), lambda records: records[0].files.update({"mask.png": b"none"})])
def test_a_mask_that_does_not_fit(run, change):
    forge(run, change)
    with pytest.raises(DamagedShard, match=r"does not fit its image|not a readable PNG"):
        READERS["evaluate"](run.path)
    damaged = READERS["splice"](run.path).stages[0].damaged
    assert damaged and all("differ in size" in line or "not a readable PNG" in line for line in damaged)


def test_readers_that_go_on_name_it(run):
    forge(run, rows(classes=["cat"]))
    (refined,) = [stage for stage in status_of(run.path)["stages"] if stage["stage"] == "refine"]
    assert refined["samples"] == 4 and "names the class 'cat'" in refined["damaged"][0]
    assert len(report_job(run.path, None, 10, Silent()).damaged) == 1
    assert [fault for fault in verify_path(run.path, Silent()).faults if "names the class 'cat'" in fault.text]


@pytest.mark.parametrize("content", ['{"files": {}}', "[" * 50_000, '{"files": {".": "many"}}'])
def test_the_manifest_of_an_export_is_looked_at_before_it_is_believed(tmp_path, content):
    (tmp_path / "dsfactory.json").write_text(content)
    with pytest.raises(UserError, match=r"dsfactory\.json is damaged"):
        FolderTarget(tmp_path).manifest()
    assert [fault.place for fault in verify_path(tmp_path, Silent()).faults] == ["dsfactory.json"]
