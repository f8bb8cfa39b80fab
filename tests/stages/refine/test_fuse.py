import math
from itertools import product

import numpy as np
import pytest

from dsfactory.stages.refine.fuse import contrasts, fuse_maps, nominal_side, peaks

EQUAL = {16: 1.0, 32: 1.0, 64: 1.0}


def bump(grid, row, column, height=0.2, spread=0.15):
    """A Gaussian blob centred at a relative position, as one class's map."""
    y, x = (np.arange(side) + 0.5 for side in grid)
    square = (y[:, None] / grid[0] - row) ** 2 + (x[None] / grid[1] - column) ** 2
    return (height * np.exp(-square / (2 * spread**2))).astype(np.float16)[None]


def test_every_resolution_counts_the_same_whatever_its_scale():
    maps = {(16, 16): bump((16, 16), 0.3, 0.3, height=0.9), (32, 32): bump((32, 32), 0.7, 0.7, height=0.003)}
    fused = fuse_maps(maps, (128, 128), EQUAL)[0]
    assert fused[38, 38] == pytest.approx(fused[90, 90], abs=0.05)


def test_weights_decide():
    maps = {(16, 16): bump((16, 16), 0.3, 0.3), (32, 32): bump((32, 32), 0.7, 0.7)}
    fused = fuse_maps(maps, (128, 128), {16: 1.0, 32: 3.0})[0]
    assert fused[38, 38] == pytest.approx(1 / 3, abs=0.05)
    assert fused.max() == 1.0


def test_coarse_grids_are_left_out():
    maps = {(8, 8): bump((8, 8), 0.2, 0.2), (16, 16): bump((16, 16), 0.7, 0.7)}
    assert np.array_equal(fuse_maps(maps, (64, 64), EQUAL), fuse_maps({(16, 16): maps[16, 16]}, (64, 64), EQUAL))


def test_only_coarse_grids_are_better_than_nothing():
    maps = {(4, 4): bump((4, 4), 0.2, 0.2), (8, 8): bump((8, 8), 0.7, 0.7)}
    assert np.array_equal(fuse_maps(maps, (64, 64), EQUAL), fuse_maps({(8, 8): maps[8, 8]}, (64, 64), EQUAL))


def test_pixels_lie_where_the_cells_lie():
    maps = {(16, 24): bump((16, 24), 0.25, 0.75, spread=0.08)}
    fused = fuse_maps(maps, (128, 192), EQUAL)[0]
    row, column = np.unravel_index(fused.argmax(), fused.shape)
    assert abs(row - 32) <= 4
    assert abs(column - 144) <= 4


def test_result_spans_zero_to_one_per_class():
    maps = {(16, 16): np.concatenate([bump((16, 16), 0.5, 0.5, height=h) + np.float16(0.01) for h in (0.5, 0.002)])}
    fused = fuse_maps(maps, (50, 70), EQUAL)
    assert fused.shape == (2, 50, 70)
    assert fused.dtype == np.float32
    assert fused.min(axis=(1, 2)).tolist() == [0.0, 0.0]
    assert fused.max(axis=(1, 2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_flat_maps_say_nothing(value):
    maps = {(16, 16): np.full((1, 16, 16), value, dtype=np.float16)}
    assert not fuse_maps(maps, (32, 32), EQUAL).any()


@pytest.mark.parametrize(
    ("grid", "side"),
    [
        ((16, 16), 16),
        ((12, 20), 16),
        ((14, 16), 16),
        ((8, 8), 8),
        ((64, 96), 64),
        ((32, 48), 32),
        ((64, 128), 64),
        ((32, 64), 32),
        ((16, 32), 16),
        ((16, 8), 8),
        ((1, 2), 1),
        ((1, 1), 1),
    ],
)
def test_nominal_side(grid, side):
    assert nominal_side(grid) == side


def test_only_grids_midway_between_two_powers_count_as_the_lower():
    for height, width in product(range(1, 130), repeat=2):
        cells = height * width
        midway = cells in {2 ** (2 * k + 1) for k in range(8)}
        nearest = 2 ** int(math.log2(cells) / 2) if midway else 2 ** round(math.log2(cells) / 2)
        assert nominal_side((height, width)) == nearest


def test_grids_of_a_picture_twice_as_wide_as_high_count_as_those_of_a_square_one():
    maps = {(side, 2 * side): bump((side, 2 * side), 0.3 + 0.005 * side, 0.5) for side in (8, 16, 32, 64)}
    without = {grid: one for grid, one in maps.items() if grid != (8, 16)}
    assert np.array_equal(fuse_maps(maps, (64, 128), EQUAL), fuse_maps(without, (64, 128), EQUAL))
    only = {32: 1.0}
    assert np.array_equal(fuse_maps(maps, (64, 128), only), fuse_maps({(32, 64): maps[32, 64]}, (64, 128), only))


def test_peak_is_raw_and_over_all_resolutions():
    maps = {(8, 8): bump((8, 8), 0.5, 0.5, height=0.5), (16, 16): bump((16, 16), 0.5, 0.5, height=0.1)}
    assert peaks(maps) == pytest.approx(maps[8, 8].max())


def test_contrast_is_how_far_a_map_falls():
    maps = np.array([[[0.1, 0.4]], [[0.2, 0.2]], [[0.0, 0.0]], [[0.0, 0.3]]])
    assert contrasts(maps) == pytest.approx([0.75, 0.0, 0.0, 1.0])
