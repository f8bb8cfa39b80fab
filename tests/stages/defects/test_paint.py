"""Flaws by construction: where they lie, what changes, and what the label says."""

import cv2
import numpy as np
import pytest

from dsfactory.stages.defects.clean import read_clean, region_of
from dsfactory.stages.defects.config import DefectsConfig
from dsfactory.stages.defects.paint import LEAST, paint
from dsfactory.stages.defects.shapes import draw_shape, perlin


def part(depth: type = np.uint8, colour: bool = False, side: int = 96) -> np.ndarray:
    """A grey disc on a light ground, with grain."""
    y, x = np.mgrid[:side, :side]
    inside = np.hypot(y - side / 2, x - side / 2) < side / 3
    values = np.where(inside, 0.45, 0.85) + np.random.default_rng(0).normal(0, 0.01, (side, side))
    top = 255 if depth is np.uint8 else 4095
    grey = (values.clip(0, 1) * top).astype(depth)
    return np.repeat(grey[..., None], 3, axis=2) if colour else grey


@pytest.mark.parametrize("source", ["texture", "noise"])
@pytest.mark.parametrize("kind", ["scratch", "crack", "dent", "rust", "chip"])
@pytest.mark.parametrize(("depth", "colour"), [(np.uint8, True), (np.uint8, False), (np.uint16, False)])
def test_only_what_the_label_names_has_changed(source, kind, depth, colour):
    clean = part(depth, colour)
    inside, region = region_of(clean, "auto", "a.png")
    assert region == "object" and 0.2 < inside.mean() < 0.5
    config, seen = DefectsConfig(source=source, strength=(0.6, 0.9)), 0
    for seed in range(6):
        found = paint(clean, kind, inside, config, np.random.default_rng(seed), part(depth, colour))
        assert found.picture.dtype == clean.dtype and found.picture.shape == clean.shape
        change = np.abs(found.picture.astype(float) - clean) * 255 / (255 if depth is np.uint8 else 4095)
        change = change if change.ndim == 2 else change.max(axis=2)
        assert np.array_equal(found.mask == 1, change > 8)
        assert not change[found.mask == 0].any()
        assert not (found.mask == 1)[~cv2.dilate(inside.astype(np.uint8), np.ones((3, 3))).astype(bool)].any()
        seen += np.count_nonzero(found.mask == 1) >= LEAST
    assert seen >= 4


def test_what_cannot_be_seen_is_clean():
    clean = part()
    config = DefectsConfig(strength=(0.001, 0.002))
    found = paint(clean, "stain", np.ones(clean.shape, bool), config, np.random.default_rng(0))
    assert np.array_equal(found.picture, clean) and not found.mask.any() and found.strength == 0


@pytest.mark.parametrize("name", ["line", "crack", "blob", "blotch", "edge"])
def test_shapes_stay_inside_and_differ_by_seed(name):
    inside = np.zeros((80, 120), bool)
    inside[10:70, 20:100] = True
    one, other = (draw_shape(name, inside, 0.02, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape == inside.shape and 0 < one.max() <= 1 and not one[~inside].any()
    assert not np.array_equal(one, other)


def test_perlin_noise_is_smooth_and_centred():
    noise = perlin((60, 90), 4, np.random.default_rng(0))
    assert abs(float(noise.mean())) < 0.2 and np.abs(np.diff(noise, axis=1)).max() < 0.25


def test_where_is_found_by_border_or_said(tmp_path):
    flat = np.full((40, 40), 90, np.uint8)
    assert region_of(flat, "auto", "a.png")[1] == "all" == region_of(flat, "all", "a.png")[1]
    mask = np.zeros((40, 40), np.uint8)
    mask[5:9, 5:9] = 255
    cv2.imwrite(str(tmp_path / "a.png"), mask)
    assert region_of(flat, str(tmp_path), "a.jpg")[0].sum() == 16
    with pytest.raises(ValueError, match="no mask of its name"):
        region_of(flat, str(tmp_path), "b.jpg")


def test_pictures_are_read_in_their_own_depth():
    for picture in (part(np.uint16), part(np.uint8)):
        assert np.array_equal(read_clean(cv2.imencode(".png", picture)[1].tobytes()), picture)
    assert read_clean(cv2.imencode(".jpg", part())[1].tobytes()).ndim == 3
