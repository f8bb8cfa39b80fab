"""Real sets as people have them, and as they should not be: one clear line each."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.png import voc_palette
from dsfactory.errors import UserError
from dsfactory.formats.voc.folder import VOC_CLASSES, VocFolder
from tests.evaluate.folders import LABELMAP, NAMES, write_list, write_voc
from tests.segment.shapes import shape_pair

SAME = np.arange(256, dtype=np.uint8)


@pytest.fixture
def root(tmp_path):
    return write_voc(tmp_path / "real")


def images(root, split="train", table=SAME):
    return VocFolder.open(root).images(split, table)


def summary(root, split="train"):
    return images(root, split).summary(lambda: None)


def refused(root, match, split="train"):
    with pytest.raises(UserError, match=match) as error:
        summary(root, split)
    assert "\n" not in str(error.value)


def test_images_and_labels_are_those_of_the_files(root):
    found = images(root)
    assert VocFolder.open(root).names == NAMES and len(found) == 4
    image, labels = found[1]
    expected_image, expected_labels = shape_pair(1)
    assert np.array_equal(labels, expected_labels)
    assert np.abs(image.astype(int) - expected_image).mean() < 4
    assert summary(root).labels == {0, 1, 2}


def test_our_own_export_and_a_set_without_label_map_can_be_read(root):
    (root / "labelmap.txt").write_text(LABELMAP + "void:224,224,192::\n")
    assert VocFolder.open(root).names[-1] == "void"
    (root / "labelmap.txt").unlink()
    assert VocFolder.open(root).names == VOC_CLASSES and len(VOC_CLASSES) == 21


def test_the_table_renames_the_labels(root):
    table = SAME.copy()
    table[[1, 2]] = [2, 255]
    _, labels = images(root, table=table)[1]
    assert set(np.unique(labels)) == {0, 255}
    assert summary(root).digest != VocFolder.open(root).images("train", table).summary(lambda: None).digest


def test_the_digest_tells_any_change(root):
    before = summary(root).digest
    assert summary(root).digest == before
    path = root / "SegmentationClass" / "002.png"
    path.write_bytes((root / "SegmentationClass" / "000.png").read_bytes())
    assert summary(root).digest != before


def test_masks_that_are_painted_are_read_by_the_colours_of_the_label_map(root):
    expected = images(root)[0][1].copy()
    expected[0, 0] = 255
    palette = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
    colours = palette[expected].copy()
    colours[expected == 1] = (128, 0, 0)
    colours[expected == 2] = (0, 128, 0)
    Image.fromarray(colours).save(root / "SegmentationClass" / "000.png")
    assert np.array_equal(images(root)[0][1], expected)
    colours[5, 5] = (1, 2, 3)
    Image.fromarray(colours).save(root / "SegmentationClass" / "000.png")
    refused(root, r"no label of the colour 1,2,3")


def test_grey_and_sixteen_bit_masks_hold_ids(root):
    expected = images(root)[0][1]
    for mask in (Image.fromarray(expected), Image.fromarray(expected.astype(np.uint16))):
        mask.save(root / "SegmentationClass" / "000.png")
        assert np.array_equal(images(root)[0][1], expected)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_images_of_other_colour_modes_become_rgb(root, mode):
    Image.fromarray(shape_pair(0)[0]).convert(mode).save(root / "JPEGImages" / "000.jpg")
    assert images(root)[0][0].shape == (32, 32, 3)


def test_a_png_with_transparency_is_an_image_too(root):
    (root / "JPEGImages" / "000.jpg").unlink()
    Image.fromarray(shape_pair(0)[0]).convert("RGBA").save(root / "JPEGImages" / "000.png")
    assert np.array_equal(images(root)[0][0], shape_pair(0)[0])


def test_a_photograph_with_an_exif_turn_fits_a_mask_of_what_people_see(tmp_path):
    pair = shape_pair(0, 32, 48)
    root = write_voc(tmp_path / "real", [pair, pair], train=1)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90° clockwise
    stored = Image.fromarray(np.rot90(pair[0]).copy())
    stored.save(root / "JPEGImages" / "000.jpg", exif=exif, quality=100, subsampling=0)
    image, labels = images(root)[0]
    assert image.shape[:2] == labels.shape == (32, 48)
    assert np.abs(image.astype(int) - pair[0]).mean() < 4
    # The same file with a mask of the stored pixels.
    Image.fromarray(np.rot90(pair[1]).copy()).save(root / "SegmentationClass" / "000.png")
    image, labels = images(root)[0]
    assert image.shape[:2] == labels.shape == (48, 32)


def test_a_name_that_a_list_gives_twice_counts_once(root):
    write_list(root, "train", ["000", "000", "", "001"])
    assert len(images(root)) == 2


def test_no_such_folder_and_one_without_the_layout(tmp_path):
    for path, match in ((tmp_path / "none", "not a folder"), (tmp_path, "no folder JPEGImages")):
        with pytest.raises(UserError, match=match):
            VocFolder.open(path)


def test_a_missing_and_an_empty_list(root):
    (root / "ImageSets/Segmentation/val.txt").unlink()
    refused(root, r"val\.txt is missing: it is to name", "val")
    write_list(root, "train", [])
    refused(root, r"train\.txt is empty")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b"])
def test_a_list_cannot_lead_out_of_the_folder(root, name):
    write_list(root, "train", [name])
    refused(root, "not within the folder")


def test_a_list_that_is_no_text(root):
    (root / "ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfe\x00")
    refused(root, "not UTF-8")


@pytest.mark.parametrize("name", ["JPEGImages/001.jpg", "SegmentationClass/001.png"])
def test_a_missing_file(root, name):
    (root / name).unlink()
    refused(root, f"{name} is missing, and train.txt names it")


@pytest.mark.parametrize("name", ["JPEGImages/001.jpg", "SegmentationClass/001.png"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no image" * 9]
)
def test_a_damaged_file_is_named(root, name, damage):
    (root / name).write_bytes(damage((root / name).read_bytes()))
    refused(root, f"{name} is not a readable JPEG or PNG")


def bomb(width, height):
    """A PNG of some bytes that claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_not_unpacked(root, size):
    (root / "SegmentationClass" / "001.png").write_bytes(bomb(*size))
    refused(root, r"001\.png is not a readable JPEG or PNG \(.*(too many|exceeds limit)")


def test_a_mask_of_another_size_than_its_image(root):
    Image.fromarray(np.zeros((30, 32), np.uint8)).save(root / "SegmentationClass" / "001.png")
    refused(root, r"001\.png has 32 × 30 pixels and its image 32 × 32")


def test_a_value_without_a_label(root):
    Image.fromarray(np.full((32, 32), 9, np.uint8)).save(root / "SegmentationClass" / "001.png")
    refused(root, r"001\.png has the value 9, and .*labelmap.txt names the labels 0 to 2")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("square:128,0,0::\n", "first label is to be 'background'"),
        ("", "first label is to be 'background'"),
        ("background:0,0,0::\nsquare\n", "line 2: write a label as"),
        ("background:0,0,0::\nsquare:1,2::\n", "line 2: write a label as"),
        ("background:0,0,0::\nsquare:1,2,300::\n", "colours from 0 to 255"),
        ("background:0,0,0::\n" + "".join(f"c{i}:1,1,1::\n" for i in range(300)), "names 301 labels"),
    ],
)
def test_a_label_map_that_cannot_be_used(root, text, match):
    (root / "labelmap.txt").write_text(text)
    refused(root, match)
