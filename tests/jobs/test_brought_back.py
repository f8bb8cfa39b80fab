"""Files as tools and people leave them come back into a real run."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.png import decode_index_png
from dsfactory.errors import UserError
from dsfactory.jobs.corrections import import_job
from dsfactory.jobs.export import export_job
from dsfactory.jobs.samples import samples_of
from tests.command import called
from tests.making import make

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SQUARE = [4, 4, 20, 4, 20, 20, 4, 20]


@pytest.fixture
def run_path(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "a"))


def masks_of(run_path):
    return {item.key: decode_index_png(item.mask_png) for item in samples_of(run_path, 0.1).samples()}


def coco(run_path, *segmentations, **changes):
    """A COCO file in which each of the run's first images has one bird, and what differs from that in each."""
    images, annotations = [], []
    for number, (key, segmentation) in enumerate(zip(masks_of(run_path), segmentations, strict=False), start=1):
        images.append({"id": number, "file_name": f"{key}.png", "width": 64, "height": 64})
        annotations.append({"id": 10 + number, "image_id": number, "category_id": 2, "segmentation": segmentation})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dog"},
               {"id": 2, "name": "bird"}], **changes}  # fmt: skip
    path = run_path.parent / "fixed.json"
    path.write_text(json.dumps(content))
    return content, path


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "annotation 12 has no segmentation"),
        (None, "annotation 12 has no segmentation"),
        ([[1, 1, 5, 5]], "annotation 12 has a polygon of 2 points"),
        ([[1, 1, 5, 5, 9]], "annotation 12 has a polygon that is no list of x and y"),
        ([["a", 1, 5, 5, 9, 9]], "annotation 12 has a polygon that is no list of x and y"),
        ([[900, 900, 905, 900, 905, 905]], "annotation 12 has a polygon that lies outside"),
        ({"size": [9, 9], "counts": "a"}, "annotation 12 has run lengths of another size"),
    ],
)
def test_an_annotation_that_cannot_be_read_keeps_its_image_alone_out(run_path, segmentation, reason):
    _, path = coco(run_path, [SQUARE], segmentation)
    one, other = list(masks_of(run_path))[:2]
    summary = import_job(run_path, path)
    assert (summary.fixed, summary.emptied, summary.format, summary.exit_code) == ([one], [], "coco", 3)
    assert list(summary.refused) == [other] and reason in summary.refused[other]


def test_a_flat_list_is_a_polygon_and_what_leaves_the_image_is_cut_off(run_path):
    _, path = coco(run_path, SQUARE, [[-3, -3, 10, -3, 10, 67, -3, 67]])
    one, other = list(masks_of(run_path))[:2]
    assert import_job(run_path, path).fixed == [one, other]
    masks = masks_of(run_path)
    assert np.array_equal(masks[one] == 2, square(4, 20, 4, 20)) and np.array_equal(
        masks[other] == 2, square(0, 64, 0, 10)
    )


def square(top, bottom, left, right):
    mask = np.zeros((64, 64), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_what_names_nothing_is_named_and_the_rest_comes_in(run_path):
    content, path = coco(run_path, [SQUARE], [SQUARE], [SQUARE])
    keys = list(masks_of(run_path))[:3]
    content["annotations"][1]["category_id"] = 7
    content["annotations"].append({**content["annotations"][0], "id": 99, "image_id": 55})
    for size in ("width", "height"):
        del content["images"][2][size]
    path.write_text(json.dumps(content))
    summary = import_job(run_path, path)
    assert summary.fixed == [keys[0], keys[2]], "the size was taken from the run"
    assert "annotation 12 has the category 7, which the file does not list" in summary.refused[keys[1]]
    assert "annotation 99 belongs to it" in summary.refused["image 55"]


def test_a_crowd_is_ignored_and_lies_below_the_objects(run_path):
    content, path = coco(run_path, [SQUARE])
    key = next(iter(masks_of(run_path)))
    crowd = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 40, 0, 40, 40, 0, 40]], "iscrowd": 1}
    content["annotations"].append(crowd)
    path.write_text(json.dumps(content))
    assert import_job(run_path, path).fixed == [key]
    mask = masks_of(run_path)[key]
    assert (mask[10, 10], mask[30, 30]) == (2, 255)
    assert import_job(run_path, path).unchanged == 1


def test_an_image_that_is_there_twice_comes_in_once_or_is_named(run_path):
    content, path = coco(run_path, [SQUARE], [SQUARE])
    one, other = list(masks_of(run_path))[:2]
    content["images"] += [{**image, "id": image["id"] + 2} for image in content["images"]]
    content["annotations"] += [{**item, "image_id": item["image_id"] + 2} for item in content["annotations"]]
    content["annotations"][3]["segmentation"] = [[1, 1, 9, 1, 9, 9]]
    path.write_text(json.dumps(content))
    summary = import_job(run_path, path)
    assert (summary.fixed, summary.read, summary.exit_code) == ([one], 1, 3)
    assert "twice with different labels" in summary.refused[other]


def test_names_that_tools_changed_are_known_by_the_key_within(run_path):
    content, path = coco(run_path, [SQUARE], [SQUARE], [SQUARE], [SQUARE])
    keys = list(masks_of(run_path))[:4]
    names = [f"{keys[0]}_png.rf.1a2b3c4d5e6f.jpg", f"images\\train\\{keys[1]}.png", f"5e0c-{keys[2]}.png", "a.png"]
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    content["categories"] = [{"id": 1, "name": "Dog"}, {"id": 2, "name": "BIRD"}]
    path.write_text(json.dumps(content))
    summary = import_job(run_path, path)
    assert summary.fixed == keys[:3] and list(summary.refused) == ["a"]


def test_what_systems_leave_beside_the_files_is_passed_over(run_path):
    """A zip from macOS, with names from Windows, and a label map with labels that nobody used."""
    export = run_path / "export" / "voc"
    key = next(iter(masks_of(run_path)))
    (export / "labelmap.txt").write_text((export / "labelmap.txt").read_text() + "cat:1,2,3::\n")
    changed = decode_index_png((export / "SegmentationClass" / f"{key}.png").read_bytes()).copy()
    changed[:6, :6] = 2
    path = run_path.parent / "back.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(export / "labelmap.txt", "task/labelmap.txt")
        palette = Image.fromarray(changed)
        palette.putpalette(Image.open(export / "SegmentationClass" / f"{key}.png").getpalette())
        palette.save(run_path.parent / "mask.png")
        archive.write(run_path.parent / "mask.png", f"task\\SegmentationClass\\{key}.png")
        archive.writestr(f"__MACOSX/task/SegmentationClass/._{key}.png", b"Mac")
        archive.writestr(f"task/SegmentationClass/._{key}.png", b"Mac")
        archive.writestr("task/.DS_Store", b"Mac")
    summary = import_job(run_path, path)
    assert (summary.fixed, summary.refused, summary.format) == ([key], {}, "voc")


def test_black_and_white_masks_are_told_from_ignored_pixels(run_path):
    keys = [key for key, mask in masks_of(run_path).items() if 2 not in mask]
    folder = run_path.parent / "masks"
    folder.mkdir()
    for key in keys[:2]:
        Image.fromarray(square(4, 20, 4, 20).astype(np.uint8) * 255).save(folder / f"{key}.png")
    done = called("import", "a", "masks", cwd=run_path.parent)
    assert done.returncode == 2 and "a binary mask? Then say which class it shows: --binary CLASS" in done.stderr
    assert import_job(run_path, folder, binary="Dog").fixed == keys[:2]
    assert np.array_equal(masks_of(run_path)[keys[0]] == 1, square(4, 20, 4, 20))


def test_a_binary_mask_takes_no_other_class_away(run_path):
    keys = [key for key, mask in masks_of(run_path).items() if 2 in mask]
    folder = run_path.parent / "masks"
    folder.mkdir()
    Image.fromarray(square(4, 20, 4, 20)).save(folder / f"{keys[0]}.png")
    assert "shows bird too" in import_job(run_path, folder, binary="dog").refused[keys[0]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", r"is not JSON \(line 1\)"),
        (b"[1]", "has no list of images"),
        (b'{"images": [], "annotations": {}}', "has no list of annotations"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b'{"images": [3], "annotations": [], "categories": []}', None),
    ],
)
def test_a_file_that_is_no_coco_is_one_line_without_python(run_path, content, reason):
    path = run_path.parent / "fixed.json"
    path.write_bytes(content)
    if reason is None:
        assert "has no id or no file name" in import_job(run_path, path).refused["entry 1 of the images"]
        return
    with pytest.raises(UserError, match=reason):
        import_job(run_path, path)


def test_composed_samples_of_an_export_are_known(run_path):
    before = len(masks_of(run_path))
    make("splice", run_path, {"splice": {"num": 2, "mix": {"1x2": 1}, "val_share": 0}})
    export_job(run_path, "coco", run_path.parent / "spliced", 0.0)
    summary = import_job(run_path, run_path.parent / "spliced")
    assert summary.unchanged == summary.read == before + 2 and summary.refused == {}
