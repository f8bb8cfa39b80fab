from collections import Counter
from itertools import islice

import numpy as np
import pytest

from dsfactory.core.sample import VOID
from dsfactory.stages.splice.config import PAPER_MIX, grid_of
from dsfactory.stages.splice.mosaic import kinds, mosaic
from dsfactory.stages.splice.scene import finish
from tests.stages.splice.runs import COLOURS, shapes


def agrees(image, mask, tolerance=0):
    """Share of labelled pixels whose colour is that of their class."""
    found = np.full(mask.shape, VOID, np.uint8)
    for value, colour in COLOURS.items():
        found[np.all(np.abs(image.astype(int) - colour) <= tolerance, axis=2)] = value
    return np.mean((found == mask)[mask != VOID])


@pytest.mark.parametrize(("rows", "columns", "shape"), [(1, 2, (64, 128)), (2, 1, (128, 64)), (2, 2, (128, 128))])
def test_at_full_size_every_pixel_is_its_cells(rows, columns, shape):
    scenes = [shapes(seed, 1 + seed % 3) for seed in range(rows * columns)]
    made = mosaic(scenes, rows, columns, 128)
    assert made.mask.shape == shape
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        window = np.s_[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
        assert np.array_equal(made.image[window], scene.image)
        assert np.array_equal(made.mask[window], scene.mask)
    assert agrees(made.image, made.mask) == 1.0


@pytest.mark.parametrize(("side", "size"), [(3, 128), (5, 100), (8, 128), (8, 64)])
def test_scaled_mosaic_keeps_objects_apart_and_in_place(side, size):
    scenes = [shapes(seed, 1 + seed % 3) for seed in range(side * side)]
    made = mosaic(scenes, side, side, size)
    assert made.mask.shape == (size, size)
    assert agrees(made.image, made.mask, tolerance=100) > 0.95
    _, instances = finish(made, min_area=1)
    assert len(set(np.unique(instances)) - {0, VOID}) == side * side
    edges = np.rint(np.linspace(0, size, side + 1)).astype(int)
    for number in range(1, side * side + 1):
        row, column = divmod(number - 1, side)
        found = np.nonzero(instances == number)
        assert edges[row] <= found[0].min() <= found[0].max() < edges[row + 1]
        assert edges[column] <= found[1].min() <= found[1].max() < edges[column + 1]


def test_void_is_kept():
    scenes = [shapes(seed, 1) for seed in range(4)]
    made = mosaic(scenes, 2, 2, 128)
    assert np.count_nonzero(made.mask == VOID) == sum(np.count_nonzero(scene.mask == VOID) for scene in scenes) > 0


def test_scenes_of_another_shape_are_cropped_to_the_cells():
    wide = shapes(0, 1, 64).crop(0, 0, 32, 64)
    made = mosaic([wide, shapes(1, 2, 64)], 1, 2, 128)
    assert made.mask.shape == (32, 128)
    assert np.array_equal(made.image[:, 64:], shapes(1, 2, 64).image[16:48])


def test_kinds_come_in_their_proportions_at_any_length():
    total = sum(PAPER_MIX.values())
    for count in (14, 140, 1000):
        found = Counter(islice(kinds(PAPER_MIX), count))
        assert all(abs(found[kind] - count * weight / total) <= 1 for kind, weight in PAPER_MIX.items())
    longer = list(islice(kinds(PAPER_MIX), 100))
    assert longer[:30] == list(islice(kinds(PAPER_MIX), 30))
    assert {grid_of(kind)[0] for kind in longer} == {1, 2, 3, 5, 8}
