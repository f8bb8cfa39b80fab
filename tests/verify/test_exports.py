"""A real export, damaged."""

import json
import shutil

import pytest
from PIL import Image

from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import command
from tests.verify.test_run import flip, swap


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def annotations(export):
    return next(
        path for path in sorted((export / "annotations").iterdir()) if json.loads(path.read_text())["annotations"]
    )


def first(export, pattern):
    return sorted(export.glob(pattern))[0]


def redraw(path):
    with Image.open(path) as image:
        Image.new("RGB", image.size, (90, 10, 200)).save(path)


COCO = {
    "a missing image": (lambda e: first(e, "images/*/*.png").unlink(), "is missing"),
    "a broken image": (lambda e: flip(first(e, "images/*/*.png"), 0.5), "is not"),
    "another image": (lambda e: redraw(first(e, "images/*/*.png")), "is not the image of the run's sample"),
    "swapped images": (
        lambda e: swap(*sorted(e.glob("images/train/*.png"))[:2]), "is not the image of the run's sample",
    ),
    "an image too many": (lambda e: (e / "images/train/x.png").write_bytes(b""), "is not named in"),
    "no JSON": (lambda e: annotations(e).write_text("{"), "cannot be read as COCO"),
    "a missing annotation": (
        lambda e: edit(annotations(e), lambda c: c["annotations"].pop()), "its annotations are not those",
    ),
    "another polygon": (
        lambda e: edit(annotations(e), lambda c: c["annotations"][0].update(segmentation=[[0, 0, 9, 0, 9, 9, 0, 9]])),
        "area or box do not fit",
    ),
    "a polygon far outside": (
        lambda e: edit(annotations(e), lambda c: c["annotations"][0].update(segmentation=[[0, 0, 1e12, 0, 9, 9]])),
        "cannot be used",
    ),
    "another category": (
        lambda e: edit(annotations(e), lambda c: c["annotations"][0].update(category_id=9)), "unknown category",
    ),
    "a missing image and no polygon": (
        lambda e: [p.unlink() for p in e.glob("images/*/*.png")]
        + [edit(annotations(e), lambda c: c["annotations"][0].update(segmentation=7))], "is missing",
    ),
    "an annotation of no image": (
        lambda e: edit(annotations(e), lambda c: c["annotations"][0].update(image_id=99)), "belongs to no image",
    ),
    "a path that leaves the folder": (
        lambda e: edit(annotations(e), lambda c: c["images"][0].update(file_name="../../../x.png")), "lies elsewhere",
    ),
    "other classes": (
        lambda e: edit(annotations(e), lambda c: c["categories"][0].update(name="wolf")), "are not the classes",
    ),
    "an edited manifest": (lambda e: (e / "dsfactory.json").write_text("[]"), "damaged"),
}  # fmt: skip

VOC = {
    "a missing image": (lambda e: first(e, "JPEGImages/*").unlink(), "is missing"),
    "another image": (lambda e: redraw(first(e, "JPEGImages/*")), "is not the image of the run's sample"),
    "a missing mask": (lambda e: first(e, "SegmentationClass/*").unlink(), "is missing"),
    "swapped masks": (lambda e: swap(*sorted(e.glob("SegmentationClass/*"))[:2]), "mask of the run's sample"),
    "a broken mask": (lambda e: flip(first(e, "SegmentationObject/*"), 0.9), "not a readable PNG"),
    "another plain mask": (lambda e: swap(*sorted(e.glob("SegmentationClassRaw/*"))[:2]), "differs from"),
    "no XML": (lambda e: first(e, "Annotations/*").write_text("<annotation>"), "is not readable XML"),
    "other boxes": (lambda e: swap(*sorted(e.glob("Annotations/*"))[:2]), "its objects are not those of"),
    "a shortened list": (lambda e: (e / "ImageSets/Main/trainval.txt").write_text(""), "names 0 images instead of 6"),
    "a path on a list": (lambda e: (e / "ImageSets/Main/val.txt").write_text("../../x"), "which is no sample"),
    "a file too many": (lambda e: (e / "Annotations/x.xml").write_text(""), "is on no list"),
}  # fmt: skip


@pytest.mark.parametrize(("format", "damage"), [*(("coco", d) for d in COCO), *(("voc", d) for d in VOC)])
def test_damage_is_named(run_path, format, damage):
    inflict, says = {"coco": COCO, "voc": VOC}[format][damage]
    export = run_path / "export" / format
    inflict(export)
    found = verify_path(export, Silent())
    assert found.exit_code == 3
    assert any(says in fault.text for fault in found.faults), found.faults
    if says != "damaged":
        assert f"--format {format} --redo" in found.advice


def test_a_run_is_examined_with_its_exports(run_path):
    first(run_path / "export/coco", "images/*/*.png").unlink()
    faults = verify_path(run_path, Silent()).faults
    assert faults and all(fault.place.startswith("export/coco/images/") for fault in faults)


def test_an_export_elsewhere_stands_for_itself(run_path, tmp_path):
    folder = shutil.copytree(run_path / "export/voc", tmp_path / "elsewhere" / "deep" / "voc")
    assert verify_path(folder, Silent()).faults == []
    swap(*sorted(folder.glob("SegmentationClass/*"))[:2])
    assert verify_path(folder, Silent()).faults


def test_an_export_of_older_samples_is_no_fault(run_path):
    for extension in ("parquet", "tar"):
        (run_path / f"refine/00001.{extension}").unlink()
    found = verify_path(run_path / "export/coco", Silent())
    assert found.faults == []
    assert "have changed since" in found.notes[0]


def test_the_command_on_an_export(run_path):
    folder = run_path / "export/coco"
    assert command("verify", str(folder), cwd=run_path).returncode == 0
    first(folder, "images/*/*.png").unlink()
    done = command("verify", str(folder), cwd=run_path)
    assert done.returncode == 3
    assert "is missing" in done.stdout


def test_run_lengths_are_read_too(run_path):
    done = command("export", "a", "--rle", "--redo", cwd=run_path.parent)
    assert done.returncode == 0, done.stderr
    assert verify_path(run_path / "export/coco", Silent()).faults == []
    edit(annotations(run_path / "export/coco"), lambda c: c["annotations"][0]["segmentation"].update(counts="zz9"))
    assert verify_path(run_path / "export/coco", Silent()).faults


def damage_line(export, change):
    path = export / "SHA256SUMS"
    path.write_text(change(path.read_text()))


LISTED = {
    "a missing file": (lambda e: first(e, "labels/*/*.txt").unlink(), "is missing"),
    "another image": (lambda e: redraw(first(e, "images/*/*.png")), "is not what was exported"),
    "swapped labels": (lambda e: swap(*sorted(e.glob("labels/train/*.txt"))[:2]), "is not what was exported"),
    "no list": (lambda e: (e / "SHA256SUMS").unlink(), "cannot be read"),
    "a list that leads away": (
        lambda e: damage_line(e, lambda text: text + "0" * 64 + "  ../../run.json\n"), "names no file of the export",
    ),
    "a file too many": (lambda e: (e / "images" / "train" / "x.png").write_bytes(b""), "holds"),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTED)
def test_a_damaged_export_with_checksums_is_found_out(name, run_path):
    damage, expected = LISTED[name]
    done = command("export", "a", "--format", "yolo", "--val-share", "0", cwd=run_path.parent)
    assert done.returncode == 0, done.stderr
    export = run_path / "export" / "yolo"
    assert verify_path(export, Silent()).faults == []
    damage(export)
    assert any(expected in str(fault) for fault in verify_path(export, Silent()).faults)
