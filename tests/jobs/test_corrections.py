"""Masks go out to another tool, are corrected there, and come back into a real run."""

import json
import re
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.formats import IMPORT_FORMATS
from dsfactory.jobs.corrections import forget_fixes, import_job
from dsfactory.jobs.export import export_job
from dsfactory.jobs.samples import samples_of
from dsfactory.jobs.status import status_of
from tests.command import called, tree
from tests.making import GENERATE, make

# pycocotools' compiled part and numpy 2 disagree about a keyword; the result is right.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def run_path(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "a"))


def mask_of(run_path: Path, key: str) -> np.ndarray:
    return decode_index_png({item.key: item for item in samples_of(run_path, 0.1).samples()}[key].mask_png)


def keys_of(run_path: Path) -> list[str]:
    return [item.key for item in samples_of(run_path, 0.1).samples()]


def mend(export: Path, key: str, label: str = "bird", empty: bool = False) -> None:
    """Replace an image's shapes by one brush stroke of 10 by 4 pixels at (3, 5), as a person in CVAT would."""
    tree_ = ElementTree.parse(export / "annotations.xml")
    image = next(item for item in tree_.getroot().iter("image") if item.attrib["name"].startswith(key))
    for shape in list(image):
        image.remove(shape)
    if not empty:
        box = {"left": "3", "top": "5", "width": "10", "height": "4"}
        ElementTree.SubElement(image, "mask", label=label, occluded="0", rle="0, 40", z_order="0", **box)
    tree_.write(export / "annotations.xml", encoding="utf-8", xml_declaration=True)


@pytest.mark.parametrize("format", IMPORT_FORMATS)
def test_what_comes_back_as_it_was_is_no_fix(run_path, format):
    before = tree(run_path)
    summary = import_job(run_path, run_path / "export" / format, format)
    assert summary.read == summary.unchanged == len(keys_of(run_path)) > 0
    assert (summary.fixed, summary.refused, summary.total) == ([], {}, 0)
    assert {name for name in tree(run_path) if name not in before} == {"fixes/fixes.json"}


def test_a_mended_mask_wins_in_every_later_export(run_path):
    key = keys_of(run_path)[0]
    fingerprint = samples_of(run_path, 0.1).fingerprint
    mend(run_path / "export" / "cvat", key)
    summary = import_job(run_path, run_path / "export" / "cvat", "cvat")
    assert summary.fixed == [key] and summary.unchanged == summary.read - 1
    expected = np.zeros((64, 64), dtype=np.uint8)
    expected[5:9, 3:13] = 2
    assert np.array_equal(mask_of(run_path, key), expected)
    assert status_of(run_path)["corrections"] == 1
    assert samples_of(run_path, 0.1).fingerprint != fingerprint
    with pytest.raises(UserError, match="samples have changed"):
        export_job(run_path, "voc", None, 0.1)
    export_job(run_path, "voc", None, 0.1, redo=True)
    exported = (run_path / "export" / "voc" / "SegmentationClass" / f"{key}.png").read_bytes()
    assert np.array_equal(decode_index_png(exported), expected)
    again = import_job(run_path, run_path / "export" / "cvat", "cvat")
    assert (again.fixed, again.unchanged, again.total) == ([], again.read, 1)


def test_fixes_survive_refine_with_other_settings(run_path):
    key = keys_of(run_path)[0]
    mend(run_path / "export" / "cvat", key)
    import_job(run_path, run_path / "export" / "cvat", "cvat")
    fixed = mask_of(run_path, key)
    make("refine", run_path, {"refine": {"threshold": 0.9}}, redo=True)
    assert np.array_equal(mask_of(run_path, key), fixed)


def test_a_fix_brings_a_rejected_sample_back(run_path):
    key = keys_of(run_path)[0]
    mend(run_path / "export" / "cvat", key)
    import_job(run_path, run_path / "export" / "cvat", "cvat")
    # No box is as large as the next refine asks for: it rejects everything.
    make("refine", run_path, {"refine": {"min_box": 1e9}}, redo=True)
    assert keys_of(run_path) == [key]


@pytest.mark.long
def test_a_fix_of_an_image_that_was_drawn_anew_is_refused_by_name(run_path):
    key = keys_of(run_path)[0]
    mend(run_path / "export" / "cvat", key)
    fixed = run_path.parent / "fixed"
    shutil.copytree(run_path / "export" / "cvat", fixed)
    import_job(run_path, fixed, "cvat")
    stroke = mask_of(run_path, key)
    make((*GENERATE, "refine"), run_path, {"generate": {"steps": 3}}, redo=True)
    done = called("export", "a", "--format", "coco", "--redo", cwd=run_path.parent)
    assert done.returncode == 0, done.stderr
    assert f"generated again: the corrections of {key}" in done.stdout
    assert key not in keys_of(run_path) or not np.array_equal(mask_of(run_path, key), stroke)
    summary = import_job(run_path, fixed, "cvat")
    assert summary.exit_code == 3 and "another image" in summary.refused[key]


def test_an_image_without_any_label_is_left_out_of_exports(run_path):
    key = keys_of(run_path)[0]
    mend(run_path / "export" / "cvat", key, empty=True)
    summary = import_job(run_path, run_path / "export" / "cvat", "cvat")
    assert summary.fixed == summary.emptied == [key]
    assert key not in keys_of(run_path)
    assert import_job(run_path, run_path / "export" / "cvat", "cvat").unchanged == summary.read


def test_forgetting_gives_the_run_s_own_mask_back(run_path):
    key = keys_of(run_path)[0]
    before = mask_of(run_path, key)
    mend(run_path / "export" / "cvat", key)
    import_job(run_path, run_path / "export" / "cvat", "cvat")
    with pytest.raises(UserError, match="no fix for '99999999'"):
        forget_fixes(run_path, "99999999")
    assert forget_fixes(run_path, key).reverted == [key]
    assert np.array_equal(mask_of(run_path, key), before)
    assert list((run_path / "fixes").glob("*.png")) == []


@pytest.mark.parametrize("noted", [True, False])
def test_two_people_correct_different_images_of_one_export(run_path, noted):
    """The second file holds the first one's image as it was exported: that is no change. Old exports left no note."""
    one, other = keys_of(run_path)[:2]
    export = run_path / "export" / "cvat"
    copies = [Path(shutil.copytree(export, run_path.parent / name)) for name in ("first", "second")]
    if not noted:
        shutil.rmtree(run_path / "exported")
    mend(copies[0], one)
    mend(copies[1], other)
    assert import_job(run_path, copies[0]).fixed == [one]
    stroke = mask_of(run_path, one)
    summary = import_job(run_path, copies[1])
    assert (summary.fixed, summary.reverted, summary.refused) == ([other], [], {})
    assert np.array_equal(mask_of(run_path, one), stroke)
    assert import_job(run_path, export).unchanged == summary.read and status_of(run_path)["corrections"] == 2


def test_what_both_changed_is_refused_by_name_until_one_is_preferred(run_path):
    one, other = keys_of(run_path)[:2]
    first, second = (Path(shutil.copytree(run_path / "export" / "cvat", run_path.parent / name)) for name in "bc")
    mend(first, one)
    mend(second, one, label="dog")
    mend(second, other)
    import_job(run_path, first)
    export_job(run_path, "cvat", None, 0.1, redo=True)
    stroke = mask_of(run_path, one)
    done = called("import", "a", str(second), "--json", cwd=run_path.parent)
    found = json.loads(done.stdout)
    assert done.returncode == 3 and found["fixed"] == [other], done.stderr
    assert found["refused"].keys() == {one} and "--prefer theirs" in found["refused"][one]
    assert import_job(run_path, second, prefer="mine").refused == {}
    assert np.array_equal(mask_of(run_path, one), stroke)
    assert import_job(run_path, second, prefer="theirs").fixed == [one]
    assert np.array_equal(mask_of(run_path, one) == 1, stroke == 2)


def test_a_correction_is_corrected_again_from_a_later_export(run_path):
    keys = keys_of(run_path)
    for key in keys[:2]:
        mend(run_path / "export" / "cvat", key)
    import_job(run_path, run_path / "export" / "cvat")
    export_job(run_path, "cvat", None, 0.1, redo=True)
    mend(run_path / "export" / "cvat", keys[0], label="dog")
    summary = import_job(run_path, run_path / "export" / "cvat")
    assert (summary.fixed, summary.refused) == ([keys[0]], {})


def blot(run_path: Path, key: str) -> np.ndarray:
    """Bring back a mask in which a person has decided pixels: a square that is ignored, and objects beside it."""
    mask = mask_of(run_path, key).copy()
    mask[mask == 255] = 0
    mask[40:50, 40:50] = 255
    mask[2:8, 2:8] = 1
    mask[20:30, 2:12] = 2
    folder = run_path.parent / "blot"
    folder.mkdir()
    Image.fromarray(mask).save(folder / f"{key}.png")
    assert import_job(run_path, folder).fixed == [key]
    return mask


@pytest.mark.parametrize("format", IMPORT_FORMATS)
def test_a_round_trip_that_changes_nothing_changes_nothing_once_masks_are_corrected(run_path, format):
    """COCO cannot say which pixels are ignored, and masks not which pieces are one object."""
    early = shutil.copytree(run_path / "export" / format, run_path.parent / "early")
    key = keys_of(run_path)[0]
    mask = blot(run_path, key)
    export_job(run_path, format, None, 0.1, redo=True)
    before = tree(run_path)
    for back in (run_path / "export" / format, early):
        summary = import_job(run_path, back)
        assert summary.read == summary.unchanged > 0 and summary.format == format
    assert tree(run_path) == before
    assert np.array_equal(mask_of(run_path, key), mask)


def test_dry_run_writes_nothing(run_path):
    mend(run_path / "export" / "cvat", keys_of(run_path)[0])
    before = tree(run_path)
    summary = import_job(run_path, run_path / "export" / "cvat", "cvat", dry_run=True)
    assert len(summary.fixed) == 1 and summary.dry_run
    assert tree(run_path) == before


def test_a_zip_is_read_in_place(run_path):
    export = run_path / "export" / "cvat"
    mend(export, keys_of(run_path)[0])
    with zipfile.ZipFile(run_path.parent / "task.zip", "w") as archive:
        archive.write(export / "annotations.xml", "annotations.xml")
        archive.writestr("../../evil.txt", "x")
    before = {path.name for path in run_path.parent.iterdir()}
    assert len(import_job(run_path, run_path.parent / "task.zip", "cvat").fixed) == 1
    assert {path.name for path in run_path.parent.iterdir()} == before


@pytest.mark.parametrize("damage", ["cut off", "flipped"])
def test_a_damaged_zip_is_one_line(run_path, damage):
    path = run_path.parent / "task.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(run_path / "export" / "cvat" / "annotations.xml", "annotations.xml")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data[: len(data) // 2] if damage == "cut off" else data)
    with pytest.raises(UserError) as error:
        import_job(run_path, path, "cvat")
    assert "\n" not in str(error.value)


def test_the_colours_of_a_cvat_segmentation_mask_count_by_their_label(run_path):
    """CVAT paints masks in RGB, with labels in an order and in colours of its own."""
    folder = run_path.parent / "segmentation"
    for name in ("SegmentationClass", "SegmentationObject"):
        (folder / name).mkdir(parents=True)
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", "bird:10,20,30::", "dog:200,100,0::"]
    (folder / "labelmap.txt").write_text("\n".join(lines))
    key = keys_of(run_path)[0]
    colours, objects = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    colours[4:20, 4:20], objects[4:20, 4:20] = (10, 20, 30), (128, 0, 0)
    colours[20:40, 4:20], objects[20:40, 4:20] = (200, 100, 0), (0, 128, 0)
    objects[4:20, 12:20] = (128, 128, 0)
    Image.fromarray(colours).save(folder / "SegmentationClass" / f"{key}.png")
    Image.fromarray(objects).save(folder / "SegmentationObject" / f"{key}.png")
    assert import_job(run_path, folder, "voc").fixed == [key]
    sample = next(item for item in samples_of(run_path, 0.1).samples() if item.key == key)
    mask, instances = decode_index_png(sample.mask_png), decode_index_png(sample.instances_png)
    assert [mask[5, 5], mask[25, 5], mask[50, 50]] == [2, 1, 0]
    assert [instances[5, 5], instances[5, 15], instances[25, 5], instances[50, 50]] == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('label="bird"', 'label="cat"'), "'cat' is no class of the run: it has dog, bird"),
        (lambda text: text.replace('rle="0, 40"', 'rle="0, 41"'), "a mask of bird that does not fit its box"),
        (lambda text: text.replace('rle="0, 40"', 'rle="a, 40"'), "a mask of bird that has no run lengths"),
        (lambda text: text.replace('width="10"', 'width="1000000000"'), "whose width is"),
        (lambda text: text.replace("<mask ", "<box ").replace("</mask>", "</box>"), "has a box of"),
        (lambda text: text.replace('width="64"', 'width="90000"').replace('height="64"', 'height="90000"'), "pixels"),
    ],
)
def test_a_shape_that_cannot_be_used_keeps_its_image_alone_out(run_path, damage, message):
    path = run_path / "export" / "cvat" / "annotations.xml"
    one, other = keys_of(run_path)[-2:]
    mend(path.parent, one)
    mend(path.parent, other)
    head, mark, rest = path.read_text().partition(f'name="{other}')
    assert mark and damage(rest) != rest
    path.write_text(head + mark + damage(rest))
    summary = import_job(run_path, path.parent, "cvat")
    assert (summary.fixed, summary.emptied, summary.exit_code) == ([one], [], 3)
    assert list(summary.refused) == [other] and re.search(message, summary.refused[other])


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: ""])
def test_a_file_that_is_cut_off_changes_nothing(run_path, damage):
    path = run_path / "export" / "cvat" / "annotations.xml"
    mend(path.parent, keys_of(run_path)[0])
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=r"is not what CVAT writes: it is no whole XML \(line \d+\)$"):
        import_job(run_path, path.parent, "cvat")
    assert status_of(run_path)["corrections"] == 0


def test_samples_that_do_not_fit_are_refused_by_name_and_the_others_taken(run_path):
    path = run_path / "export" / "png" / "ann_dir" / "train"
    keys = [item.stem for item in sorted(path.iterdir())]
    Image.new("L", (64, 64), 1).save(path / "99999999.png")
    Image.new("L", (64, 64), 1).save(path / "holiday.png")
    Image.new("L", (64, 64), 1).save(path / f"{keys[0]}.png")
    Image.new("L", (65, 64), 1).save(path / f"{keys[1]}.png")
    done = called("import", "a", "a/export/png", "--format", "png", "--json", cwd=run_path.parent)
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["fixed"] == [keys[0]]
    assert found["refused"].keys() == {keys[1], "99999999", "holiday"}
    assert "65 × 64" in found["refused"][keys[1]]


def test_one_clear_line_for_bad_arguments(run_path):
    for line, words in (
        (["import", "a"], "name what to bring back"),
        (["import", "a", "nowhere.zip"], "is not there"),
        (["import", "a", "a/config.yaml", "--format", "yolo"], "unknown format 'yolo'"),
        (["import", "b", "a/export/cvat"], "is not there"),
        (["import", "a", "a/config.yaml"], "nothing that can be brought back"),
        (["import", "a", "a/export/cvat", "--binary", "dog"], "--binary is for PNG masks"),
        (["import", "a", "a/export/png", "--binary", "cat"], "'cat' is no class of the run"),
    ):
        done = called(*line, cwd=run_path.parent)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_damaged_fix_is_found_out(run_path):
    mend(run_path / "export" / "cvat", keys_of(run_path)[0])
    import_job(run_path, run_path / "export" / "cvat", "cvat")
    path = next((run_path / "fixes").glob("*.mask.png"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"fixes/.*is missing or damaged"):
        list(samples_of(run_path, 0.1).samples())
    done = called("verify", "a", cwd=run_path.parent)
    assert done.returncode == 3 and path.name in done.stdout


@pytest.mark.parametrize("content", ["{", "[]", '{"../x": {}}', '{"00000000": {"image_sha256": 1}}'])
def test_a_damaged_list_of_fixes_is_one_line(run_path, content):
    (run_path / "fixes").mkdir()
    (run_path / "fixes" / "fixes.json").write_text(content)
    with pytest.raises(UserError, match=r"fixes\.json"):
        samples_of(run_path, 0.1)


def test_a_link_is_not_followed(run_path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (run_path / "fixes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no folder of the run"):
        import_job(run_path, run_path / "export" / "cvat", "cvat")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_run_without_masks_is_told_what_to_do(run_path):
    shutil.rmtree(run_path / "refine")
    assert Run.open(run_path)
    with pytest.raises(UserError, match="dsfactory refine"):
        import_job(run_path, run_path / "export" / "cvat", "cvat")
