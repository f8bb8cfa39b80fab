"""What a run's export says of its model, settings and quality, and how it is left out."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from dsfactory.jobs.export import export_job
from dsfactory.jobs.provenance import provenance_of
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import called, tree
from tests.formats.test_provenance import digital_source_type
from tests.test_runs_of_before import runs  # noqa: F401 -- a fixture


def table(export: Path) -> list[dict[str, str]]:
    with open(export / "provenance.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_drawn_and_spliced_samples_are_told_apart_and_verify(runs):  # noqa: F811
    export_job(runs / "drawn", "coco,voc", None, 0.1)
    rows = table(runs / "drawn" / "export" / "coco")
    assert {bool(row["parents"]): row["digital_source_type"] for row in rows} == {
        False: "trainedAlgorithmicMedia", True: "compositeWithTrainedAlgorithmicMedia"}  # fmt: skip
    assert {row["steps"] for row in rows if not row["parents"]} == {"2"}
    for format, folder in (("coco", "images/train"), ("voc", "JPEGImages")):
        export = runs / "drawn" / "export" / format
        for row in rows:
            (image,) = (export / folder).glob(f"{row['key']}.*")
            assert digital_source_type(image.read_bytes()) == row["digital_source_type"]
        found = verify_path(export, Silent())
        assert (found.faults, found.notes) == ([], [])
    card = (runs / "drawn" / "export" / "coco" / "README.md").read_text("utf-8")
    assert "Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0)" in card and "| steps | 2 |" in card


def test_given_pictures_say_nothing(runs):  # noqa: F811
    export_job(runs / "given", "coco", None, 0.1)
    assert {row["synthetic"] for row in table(runs / "given" / "export" / "coco")} == {"false"}
    images = (runs / "given" / "export" / "coco" / "images").rglob("*.*")
    assert {digital_source_type(image.read_bytes()) for image in images} == {""}


def test_an_image_whose_mark_was_changed_is_a_fault(runs):  # noqa: F811
    export_job(runs / "drawn", "coco", None, 0.1)
    image = next((runs / "drawn" / "export" / "coco" / "images").rglob("0*.png"))
    image.write_bytes(image.read_bytes().replace(b"iTXtXML:", b"iTXtXMP:"))
    assert [fault.place for fault in verify_path(runs / "drawn" / "export" / "coco", Silent()).faults]


def test_it_is_left_out_on_request_and_an_export_of_before_asks(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "a")
    assert called("export", "a", "--no-provenance", "--out", "bare", cwd=tmp_path).returncode == 0
    assert not {"README.md", "croissant.json", "provenance.csv"} & tree(tmp_path / "bare").keys()
    again = called("export", "a", "--out", "bare", cwd=tmp_path)
    assert again.returncode == 2 and "provenance: null → true" in again.stderr and "--redo" in again.stderr


@pytest.mark.parametrize(("model", "expected"), [
    ("sd15", ("LicenseRef-CreativeML-Open-RAIL-M", "https://huggingface.co/spaces/CompVis/stable-diffusion-license")),
    ("sdxl", ("LicenseRef-CreativeML-Open-RAIL-plus-plus-M", "https://")),
    ("z-image-turbo", ("Apache-2.0", "https://")),
    ("somebody/unheard-of", ("LicenseRef-unknown", "")),
])  # fmt: skip
def test_licences_are_spdx_with_an_address(model, expected, tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    config = tmp_path / "a" / "config.yaml"
    lines = [f"  model: {model}" if line.startswith("  model:") else line for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines))
    found = provenance_of(tmp_path / "a", given=False)
    assert found.licence == expected[0] and found.licence_url.startswith(expected[1])


def test_no_path_of_the_machine_and_the_measured_quality_are_in_the_card(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    results = {"miou_synthetic": 0.5, "miou_real": 0.75, "val_images": 40}
    (tmp_path / "a" / "evaluate").mkdir()
    (tmp_path / "a" / "evaluate" / "results.json").write_text(json.dumps(results))
    export_job(tmp_path / "a", "png", tmp_path / "png", 0.1)
    said = (tmp_path / "png" / "README.md").read_text("utf-8") + (tmp_path / "png" / "croissant.json").read_text(
        "utf-8"
    )
    assert "reaches 0.500 mIoU on 40 real pictures" in said
    assert str(tmp_path.parent) not in said
