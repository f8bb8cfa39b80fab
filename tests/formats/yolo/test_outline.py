"""Outlines, painted the way YOLO readers do."""

import cv2
import numpy as np
import pytest

from dsfactory.formats.yolo.outline import mask_outline


def cut_down(outline):
    """Ultralytics: ``polygon2mask`` after coordinates were read as float32."""
    return outline.astype(np.float32).astype(np.int32)


def rounded(outline):
    """supervision and FiftyOne."""
    return np.round(outline).astype(np.int32)


def painted(outline, shape, whole=cut_down):
    canvas = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(canvas, [whole(outline)], 1)
    return canvas.astype(bool)


def disc(shape, y, x, radius):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - y, columns - x) < radius


def picture(rows):
    return np.array([[mark == "#" for mark in row] for row in rows])


SHAPE = (90, 120)
MASKS = {
    "one pixel": picture(["...", ".#.", "..."]),
    "the whole image": np.ones((7, 9), dtype=bool),
    "a ring": disc(SHAPE, 40, 60, 30) & ~disc(SHAPE, 40, 60, 12),
    "holes above each other": disc(SHAPE, 44, 60, 40) & ~disc(SHAPE, 20, 60, 5) & ~disc(SHAPE, 40, 61, 6)
    & ~disc(SHAPE, 62, 59, 7) & ~disc(SHAPE, 42, 80, 5),
    "an island at a corner of its hole": picture(["####.", "#..#.", "#.#.#", "##.#.", "#####"]),
    "a staircase of corners": np.eye(12, dtype=bool),
    "two arms": np.eye(20, dtype=bool) | np.eye(20, dtype=bool)[:, ::-1],
    "a chain of holes at corners": picture(["#####", "##.##", "#.#.#", "##.##", "#####"]),
}  # fmt: skip


@pytest.mark.parametrize("whole", [cut_down, rounded])
@pytest.mark.parametrize("name", MASKS)
def test_both_ways_of_painting_give_the_mask(name, whole):
    mask = MASKS[name]
    outline = mask_outline(mask)
    assert len(outline) >= 4
    assert (outline >= 0).all() and (outline < mask.shape[::-1]).all()
    assert np.array_equal(painted(outline, mask.shape, whole), mask)


@pytest.mark.parametrize("whole", [cut_down, rounded])
def test_a_bridge_is_the_only_thing_painted_beside_the_mask(whole):
    mask = disc(SHAPE, 30, 30, 15) | disc(SHAPE, 60, 90, 20)
    paint = painted(mask_outline(mask), SHAPE, whole)
    assert not (mask & ~paint).any()
    assert 0 < (paint & ~mask).sum() < 40
    island = disc(SHAPE, 45, 60, 40) & ~disc(SHAPE, 45, 60, 25) | disc(SHAPE, 48, 62, 10)
    paint = painted(mask_outline(island), SHAPE, whole)
    assert not (island & ~paint).any()
    assert 0 < (paint & ~island).sum() < 14


@pytest.mark.parametrize("whole", [cut_down, rounded])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.95])
def test_any_part_survives_with_all_its_holes(share, whole):
    for seed in range(20):
        noise = np.random.default_rng(seed).random((23, 31)) < share
        _, parts, stats, _ = cv2.connectedComponentsWithStats(noise.astype(np.uint8), connectivity=4)
        part = parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
        assert np.array_equal(painted(mask_outline(part), part.shape, whole), part), seed
        assert not (noise & ~painted(mask_outline(noise), noise.shape, whole)).any(), seed


def test_coordinates_survive_a_label_file():
    mask = disc((8192, 40), 4000, 20, 18) | disc((8192, 40), 8000, 20, 18)
    outline = mask_outline(mask)
    read = np.array([float(f"{value:.7f}") for value in (outline / (40, 8192)).ravel()], dtype=np.float32)
    assert np.array_equal(np.floor(read.reshape(-1, 2) * (40, 8192)), np.floor(outline))
