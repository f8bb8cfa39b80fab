"""What holds for every format of the registry, without a word about any of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dsfactory import formats
from dsfactory.core.png import decode_index_png
from dsfactory.core.sample import VOID
from dsfactory.dataset.exported import label_hashes
from dsfactory.errors import UserError
from dsfactory.formats import FORMATS, IMPORT_FORMATS, find_format
from dsfactory.formats.checker import ChecksumCheck, ExportCheck
from dsfactory.formats.reading.labels import Expected, finished, same_labels
from dsfactory.formats.reading.source import Source
from dsfactory.formats.writer import DatasetWriter
from dsfactory.verify.exports import verify_export
from tests.formats.scenes import CLASSES, COUNT, sample, write

# pycocotools' compiled part and numpy 2 disagree about a keyword; the result is right.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_the_registry_loads_nothing_heavy():
    line = "import sys, dsfactory.formats; print({'numpy', 'PIL', 'pydantic', 'pyarrow', 'cv2'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", line], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("item", FORMATS.values(), ids=FORMATS)
def test_a_format_has_what_its_line_says(item):
    assert issubclass(item.writer(), DatasetWriter) and issubclass(item.checker(), ExportCheck)
    assert item.writer().has_checksums == (item.checker() is ChecksumCheck)
    if item.read:
        assert callable(item.reader())


def test_a_format_that_is_not_there_is_named_with_those_that_are():
    assert find_format("coco").name == "coco"
    with pytest.raises(UserError, match="unknown format 'yolo': There are coco, cvat, labelstudio, png, voc"):
        find_format("yolo", IMPORT_FORMATS)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_has_no_fault(format, tmp_path):
    write(format, tmp_path / "d")
    found = verify_export(tmp_path / "d")
    assert found.faults == [] and found.checked == {f"{format} images": COUNT}


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_less_is_a_fault(format, tmp_path):
    write(format, tmp_path / "d")
    next(path for path in sorted((tmp_path / "d").rglob("*.*")) if path.name != "dsfactory.json").unlink()
    assert verify_export(tmp_path / "d").faults


@pytest.mark.parametrize("format", IMPORT_FORMATS)
def test_what_comes_back_is_what_was_written(format, tmp_path):
    write(format, tmp_path / "d")
    with Source.open(tmp_path / "d") as source:
        found = {labels.key: labels for labels in IMPORT_FORMATS[format].reader()(source, Expected(CLASSES))}
    assert found.keys() == {sample(number).key for number in range(COUNT)}
    for number in range(COUNT):
        mask, instances = (decode_index_png(data) for data in (sample(number).mask_png, sample(number).instances_png))
        back = found[sample(number).key]
        labels = finished(back, mask)
        assert (labels[0] == mask).all() and (mask == VOID).any()
        assert back.instances is None or same_labels(labels, (mask, instances))
        assert back.image is not None
        terms, hashed = back.said
        assert label_hashes(mask, instances)[terms] == hashed, "what comes back unchanged is known as such"


@pytest.mark.parametrize("format", [name for name, item in FORMATS.items() if item.writer().has_checksums])
def test_checksums_are_those_of_all_files(format, tmp_path):
    write(format, tmp_path / "d")
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "d")
    assert done.returncode == 0
    named = {line.split("  ", 1)[1] for line in (tmp_path / "d" / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(tmp_path / "d").as_posix() for path in (tmp_path / "d").rglob("*") if path.is_file()}
    assert there - named == {"SHA256SUMS", "dsfactory.json"}


@pytest.mark.parametrize("format", ["hf", "parquet", "webdataset"])
def test_empty_split_is_not_there(format, tmp_path):
    assert write(format, tmp_path / "d", 3, val_share=0.0).images == {"train": 3, "val": 0}
    assert not list((tmp_path / "d").rglob("val*"))


def test_formats_import_nothing_that_lies_above_them():
    allowed = {"core", "dataset", "errors", "formats", "runner", "storage"}
    for path in Path(formats.__file__).parent.rglob("*.py"):
        assert set(re.findall(r"(?:from|import) dsfactory\.(\w+)", path.read_text())) <= allowed, path
