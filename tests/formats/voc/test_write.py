from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image

from dsfactory.core.png import voc_palette
from dsfactory.core.sample import sample_key
from dsfactory.formats.exporter import export
from tests.formats.scenes import CLASSES, HEIGHT, WIDTH, labels, samples

COUNT = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Where torchvision expects it: under VOCdevkit/VOC2012 of the root that it is given."""
    out = tmp_path_factory.mktemp("voc") / "VOCdevkit" / "VOC2012"
    export("voc", samples(COUNT), CLASSES, out, fingerprint="f", model="pocket", val_share=0.3)
    return out


def names(root, kind, subset):
    return (root / "ImageSets" / kind / f"{subset}.txt").read_text().split()


@pytest.mark.parametrize("subset", ["train", "val", "trainval"])
def test_segmentation_readers_find_images_and_masks(root, subset):
    keys = names(root, "Segmentation", subset)
    assert keys == sorted(keys) and len(keys) > 0
    for key in keys:
        with Image.open(root / "JPEGImages" / f"{key}.jpg") as image:
            assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
        expected, _ = labels(int(key))
        with Image.open(root / "SegmentationClass" / f"{key}.png") as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.array(mask), expected)
            assert set(np.unique(mask)) <= {0, 1, 2, 255}
            assert bytes(mask.getpalette()) == voc_palette()


def test_splits_are_disjoint_and_complete(root):
    for kind in ("Segmentation", "Main"):
        train, val, both = (names(root, kind, subset) for subset in ("train", "val", "trainval"))
        assert not set(train) & set(val)
        assert sorted(train + val) == both == [sample_key(number) for number in range(COUNT)]


def test_plain_masks_survive_readers_that_know_no_palette(root):
    for key in names(root, "Segmentation", "trainval"):
        raw = cv2.imread(str(root / "SegmentationClassRaw" / f"{key}.png"), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(raw, labels(int(key))[0])


def test_detection_readers_find_boxes_that_match_the_objects(root):
    for key in names(root, "Main", "trainval"):
        annotation = ElementTree.parse(root / "Annotations" / f"{key}.xml").getroot()
        assert annotation.findtext("filename") == f"{key}.jpg"
        size = [annotation.findtext(f"size/{name}") for name in ("width", "height", "depth")]
        assert size == [str(WIDTH), str(HEIGHT), "3"]
        mask, _ = labels(int(key))
        objects = np.array(Image.open(root / "SegmentationObject" / f"{key}.png"))
        found = annotation.findall("object")
        assert len(found) == objects[objects < 255].max() == 3
        for number, item in enumerate(found, start=1):
            rows, columns = np.nonzero(objects == number)
            box = [int(item.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")]
            assert box == [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]
            assert item.findtext("name") == CLASSES[mask[rows[0], columns[0]] - 1]
            assert item.findtext("difficult") == "0"
            assert (item.findtext("truncated") == "1") == (columns.max() == WIDTH - 1 or rows.min() == 0)


def test_labelmap_names_the_colours_of_the_masks(root):
    lines = (root / "labelmap.txt").read_text(encoding="utf-8").splitlines()[1:]
    colours = {line.split(":")[0]: tuple(map(int, line.split(":")[1].split(","))) for line in lines}
    assert list(colours) == ["background", *CLASSES, "void"]
    mask, _ = labels(0)
    painted = np.array(Image.open(root / "SegmentationClass" / "00000000.png").convert("RGB"))
    for value, name in ((0, "background"), (1, "dog"), (2, "crème brûlée"), (255, "void")):
        assert {tuple(colour) for colour in painted[mask == value].tolist()} == {colours[name]}


def test_paths_carry_no_class_name(root):
    assert all(path.name.isascii() for path in root.rglob("*"))


def test_empty_split_is_an_empty_list(tmp_path):
    export("voc", samples(2), CLASSES, tmp_path / "d", fingerprint="f", model="pocket", val_share=1.0)
    assert names(tmp_path / "d", "Segmentation", "train") == []
    assert len(names(tmp_path / "d", "Segmentation", "val")) == 2
