import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dsfactory.dataset.split import split_of
from dsfactory.formats.coco.write import PROVENANCE
from dsfactory.formats.exporter import export
from dsfactory.stages.prompts.config import ATTRIBUTES
from tests.formats.scenes import CLASSES, HEIGHT, WIDTH, labels, sample, samples

COUNT = 24

# pycocotools' compiled part and numpy 2 disagree about a keyword; the result is right.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=[False, True], ids=["polygons", "rle"])
def folder(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("coco") / "dataset"
    export("coco", samples(COUNT), CLASSES, out, fingerprint="f", model="pocket", val_share=0.3, rle=request.param)
    return out


def load(folder, split):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(folder / "annotations" / f"instances_{split}.json")


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_instance_has_its_pixels_class_area_and_box(folder, split):
    coco = load(folder, split)
    assert len(coco.imgs) > 0
    for image_id in coco.imgs:
        mask, instances = labels(image_id - 1)
        annotations = coco.imgToAnns[image_id]
        assert len(annotations) == instances[instances < 255].max()
        for number, annotation in enumerate(annotations, start=1):
            pixels = instances == number
            assert np.array_equal(coco.annToMask(annotation).astype(bool), pixels)
            assert [annotation["category_id"]] == np.unique(mask[pixels]).tolist()
            assert annotation["area"] == pixels.sum()
            rows, columns = np.nonzero(pixels)
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width - 1, y + height - 1) == (columns.min(), rows.min(), columns.max(), rows.max())
            assert annotation["iscrowd"] == 0


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_ground_truth_scores_perfectly_against_itself(folder, split, kind):
    truth = load(folder, split)
    found = [{**annotation, "score": 1.0} for annotation in truth.anns.values()]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_images_lie_where_the_entries_say(folder):
    for split in ("train", "val"):
        images = load(folder, split).imgs
        assert {image["file_name"] for image in images.values()} == {
            path.name for path in (folder / "images" / split).iterdir()
        }
        for image_id, image in images.items():
            path = folder / "images" / split / image["file_name"]
            assert path.read_bytes() == sample(image_id - 1).image_png
            assert Image.open(path).size == (image["width"], image["height"]) == (WIDTH, HEIGHT)


def test_ids_names_and_provenance(folder):
    seen = []
    for split in ("train", "val"):
        data = json.loads((folder / "annotations" / f"instances_{split}.json").read_text(encoding="utf-8"))
        assert [category["id"] for category in data["categories"]] == [1, 2]
        assert [category["name"] for category in data["categories"]] == ["dog", "crème brûlée"]
        assert [item["id"] for item in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
        assert "pocket" in data["info"]["description"]
        for image in data["images"]:
            number = image["id"] - 1
            assert image["prompt"] == f"a dog, {number}" and image["image_seed"] == 2**60 + number
            assert split_of(image["file_name"].removesuffix(".png"), 0.3) == split
            seen.append(image["id"])
    assert sorted(seen) == list(range(1, COUNT + 1))


def test_segmentations_are_of_the_kind_asked_for(folder):
    asked = json.loads((folder / "dsfactory.json").read_text())["settings"]["rle"]
    for annotation in load(folder, "train").anns.values():
        segmentation = annotation["segmentation"]
        if asked:
            assert isinstance(segmentation["counts"], str) and segmentation["size"] == [HEIGHT, WIDTH]
        else:
            assert all(len(ring) >= 8 and len(ring) % 2 == 0 for ring in segmentation)


def test_empty_split_is_a_valid_file(tmp_path):
    summary = export("coco", samples(3), CLASSES, tmp_path / "d", fingerprint="f", model="pocket", val_share=0.0)
    assert summary.images == {"train": 3, "val": 0} and summary.instances["val"] == 0
    empty = load(tmp_path / "d", "val")
    assert empty.imgs == {} and empty.anns == {} and len(empty.cats) == 2
    assert list((tmp_path / "d" / "images" / "val").iterdir()) == []


def test_jpeg_on_request(tmp_path):
    out = tmp_path / "d"
    export("coco", samples(2), CLASSES, out, fingerprint="f", model="pocket", val_share=0, image_format="jpg")
    image = next(iter(load(out, "train").imgs.values()))
    assert Image.open(out / "images" / "train" / image["file_name"]).format == "JPEG"


def test_an_image_carries_on_what_its_prompt_was_steered_by():
    assert set(ATTRIBUTES) < set(PROVENANCE)
