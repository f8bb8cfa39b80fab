import numpy as np
import pytest
from pycocotools import mask as coco_mask

from dsfactory.formats.coco.segmentation import decode, decode_rle, encode


@pytest.mark.parametrize("seed", range(20))
def test_it_reads_what_pycocotools_writes(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    pixels = rng.random((height, width)) < rng.random()
    found = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    for counts in (found["counts"], found["counts"].decode()):
        assert np.array_equal(decode_rle({"size": [height, width], "counts": counts}, height, width), pixels)
    runs, value = [0], False
    for pixel in pixels.T.ravel():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    assert np.array_equal(decode_rle({"size": [height, width], "counts": runs}, height, width), pixels)


@pytest.mark.parametrize(
    "segmentation",
    [
        None, [], "x", {}, {"size": [4, 4]}, {"size": [3, 4], "counts": [12]}, {"size": "44", "counts": [16]},
        *({"size": [4, 4], "counts": counts} for counts in (
            [15], [17], [-1, 17], [2**63, 1], [16.0], [True] * 16, [None], 16, "", "0" * 999, "é", "o",
            "ooooooooooooooo0", "PPPPPPPPPPPPPPPPPPPPPPPP", b"\xff",
        )),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(segmentation):
    with pytest.raises(ValueError):
        decode_rle(segmentation, 4, 4)


@pytest.mark.parametrize("rle", [False, True])
def test_what_is_encoded_is_decoded(rle):
    pixels = np.random.default_rng(0).random((23, 31)) < 0.5
    assert np.array_equal(decode(encode(pixels, rle), 23, 31), pixels)


@pytest.mark.parametrize(
    "rings",
    [
        [], [[]], [[0, 0, 3, 3]], [[0, 0, 3, 0, 3]], [[0, 0, 3, 0, 3, 1e12]], [[0, 0, 3, 0, 3, float("nan")]],
        [["a", 0, 3, 0, 3, 3]], [7], ["xyz"],
    ],
)  # fmt: skip
def test_what_is_no_polygon_is_refused(rings):
    with pytest.raises(ValueError):
        decode(rings, 4, 4)


def test_a_polygon_may_leave_the_image_by_a_pixel():
    assert decode([[-1, -1, 5, -1, 5, 5, -1, 5]], 4, 4).all()
