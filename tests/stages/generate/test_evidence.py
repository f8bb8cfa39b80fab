import numpy as np
import pytest
from safetensors import SafetensorError

from dsfactory.stages.generate.evidence import Evidence, within_limit


def evidence() -> Evidence:
    maps = np.random.default_rng(0).random((2, 12, 8)).astype(np.float16)
    return Evidence({(12, 8): maps, (6, 4): maps[:, ::2, ::2]}, {(12, 8): maps[::-1]})


def test_bytes_hold_every_map():
    read = Evidence.from_bytes(evidence().to_bytes())
    for kind in ("cross", "affinity"):
        written, found = getattr(evidence(), kind), getattr(read, kind)
        assert found.keys() == written.keys()
        for grid, maps in written.items():
            assert found[grid].dtype == np.float16
            np.testing.assert_array_equal(found[grid], maps)


def test_equal_maps_give_equal_bytes_in_any_order():
    maps = evidence()
    turned = Evidence(dict(reversed(maps.cross.items())), maps.affinity)
    assert turned.to_bytes() == maps.to_bytes()


def test_other_bytes_are_refused():
    with pytest.raises(SafetensorError):
        Evidence.from_bytes(b"\x80\x04not a safetensors file")


@pytest.mark.parametrize("grid", [(64, 64), (64, 96), (64, 128), (55, 74), (72, 56), (32, 128)])
def test_grids_up_to_the_area_of_two_squares_are_within_the_limit(grid):
    assert within_limit(grid) and within_limit(grid[::-1])


@pytest.mark.parametrize("grid", [(65, 65), (80, 80), (96, 96), (128, 128), (64, 136), (72, 80)])
def test_finer_grids_are_not(grid):
    assert not within_limit(grid) and not within_limit(grid[::-1])


def test_a_class_takes_no_more_than_32_kb_of_the_largest_picture():
    grids = [(64, 128), (32, 64), (16, 32), (8, 16)]
    maps = {grid: np.ones((1, *grid), np.float16) for grid in grids}
    assert len(Evidence(maps, {(32, 64): maps[32, 64]}).to_bytes()) <= 32 * 1024
