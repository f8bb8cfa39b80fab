import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from dsfactory.formats.polygons import mask_polygons

# pycocotools' compiled part and numpy 2 disagree about a keyword; the result is right.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def rasterise(rings, shape):
    """As pycocotools' loadRes, showAnns and COCOeval do."""
    runs = coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], *shape)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


def parse(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def area(ring):
    """Positive where the ring runs clockwise with y down."""
    x, y = ring.T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


@settings(max_examples=300, deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_any_mask_comes_back_pixel_for_pixel(mask):
    if not mask.any():
        return
    rings = mask_polygons(mask)
    assert np.array_equal(rasterise(rings, mask.shape), mask)
    parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    assert len(rings) == parts - 1
    for ring in rings:
        assert len(ring) >= 4 and area(ring) > 0
        assert ring.min() >= 0 and (ring <= mask.shape[::-1]).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2.0, 5.0, 15.0]), st.floats(0.3, 0.6))
def test_large_ragged_masks_come_back_pixel_for_pixel(seed, smoothness, threshold):
    noise = np.random.default_rng(seed).standard_normal((120, 200)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), smoothness)
    mask = field > np.quantile(field, threshold)
    assert np.array_equal(rasterise(mask_polygons(mask), mask.shape), mask)


def test_rectangle_keeps_its_four_corners():
    mask = np.zeros((10, 20), dtype=bool)
    mask[2:5, 7:20] = True
    (ring,) = mask_polygons(mask)
    assert ring.tolist() == [[7, 2], [20, 2], [20, 5], [7, 5]]


def test_single_pixel_is_its_square():
    (ring,) = mask_polygons(parse("...", "..#"))
    assert ring.tolist() == [[2, 1], [3, 1], [3, 2], [2, 2]]


def test_hole_stays_empty_in_one_simple_ring():
    mask = parse("......", ".####.", ".#..#.", ".####.", "......")
    (ring,) = mask_polygons(mask)
    assert np.array_equal(rasterise([ring], mask.shape), mask)
    # The slit has two sides, half a pixel apart: no two points of the ring coincide, so it does not touch itself.
    assert len(np.unique(ring, axis=0)) == len(ring)
    assert area(ring) == pytest.approx(mask.sum(), abs=1.5)


def test_island_in_a_hole_is_a_ring_of_its_own():
    mask = parse("#####", "#...#", "#.#.#", "#...#", "#####")
    rings = mask_polygons(mask)
    assert len(rings) == 2
    assert np.array_equal(rasterise(rings, mask.shape), mask)


def test_staircase_becomes_a_slope():
    mask = np.tri(100, dtype=bool)
    (ring,) = mask_polygons(mask)
    assert len(ring) < 10


def test_disc_has_its_true_area_and_extent():
    y, x = np.mgrid[:200, :200]
    mask = np.hypot(y - 100, x - 90) < 60
    (ring,) = mask_polygons(mask)
    assert area(ring) == pytest.approx(mask.sum(), abs=1)
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    assert (ring.min(axis=0), ring.max(axis=0)) == (pytest.approx((x, y)), pytest.approx((x + width, y + height)))
