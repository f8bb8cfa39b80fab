"""Distances of sets of images and of labels, on features and masks whose distances are known."""

import numpy as np
import pytest

from dsfactory.evaluate.sets import (
    frechet_distance,
    image_distances,
    kernel_distance,
    label_distances,
    label_facts,
    overlap,
    repeated,
    vendi_score,
)


def cloud(count, seed, groups=8, spread=0.3, width=16):
    """Features in groups, as classes are."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(8, width))[:groups]
    return (centres[np.arange(count) % groups] + spread * random.normal(size=(count, width))).astype(np.float32)


def test_the_frechet_distance_of_two_normal_distributions_is_that_of_the_formula():
    random = np.random.default_rng(0)
    one, two = random.normal(0, 1, (20000, 2)), random.normal((3, 0), 2, (20000, 2))
    assert frechet_distance(one.astype(np.float32), two.astype(np.float32)) == pytest.approx(9 + 2, abs=0.2)
    assert frechet_distance(cloud(200, 0), cloud(200, 0)) == pytest.approx(0, abs=1e-6)


def test_a_set_is_as_near_to_itself_as_another_part_of_it():
    real = cloud(800, 1)
    floor, other = repeated(real, None, 200, 6, 0), repeated(real, cloud(800, 2), 200, 6, 0)
    for name in ("frechet", "kernel", "coverage"):
        mean, low, high = floor[name]
        assert low <= mean <= high
        assert other[name][1] <= high and low <= other[name][2]
    assert abs(floor["kernel"][0]) < 0.1


def test_all_distances_rise_with_blur_and_see_what_is_missing():
    real, random = cloud(400, 1), np.random.default_rng(0)
    blurred = [cloud(400, 2) * keep for keep in (1.0, 0.8, 0.6, 0.4)]
    for measure in (frechet_distance, lambda *pair: kernel_distance(*pair, random)):
        values = [measure(real, one) for one in blurred]
        assert values == sorted(values) and values[-1] > 10 * abs(values[0])
    missing = overlap(real, cloud(400, 2, groups=4))
    assert overlap(real, cloud(400, 2)).coverage > 0.9
    assert missing.coverage < 0.6 and missing.precision > 0.8
    many = cloud(400, 3, spread=2.0, width=256)
    assert vendi_score(np.repeat(many[:20], 20, axis=0)) < 20 < 0.3 * vendi_score(many)


def test_few_images_have_no_frechet_distance():
    found = image_distances(cloud(20, 1), cloud(20, 2), np.random.default_rng(0))
    assert "frechet" not in found and 0 <= found["coverage"] <= 1


def disc(radius, across=32, label=1):
    y, x = np.mgrid[:64, :64]
    return np.where((x - across) ** 2 + (y - 32) ** 2 <= radius**2, label, 0).astype(np.uint8)


def test_labels_differ_by_what_they_show():
    one = label_facts([disc(8), disc(8)])
    assert one.classes == {1: 2} and one.of_objects["outline"] == pytest.approx([1, 1], abs=0.1)
    assert set(label_distances(one, one).values()) == {0.0}
    larger = label_distances(one, label_facts([disc(16), disc(16)]))
    assert larger["size"] == pytest.approx(np.pi * (16**2 - 8**2) / 64**2, abs=0.01) and larger["classes"] == 0
    assert label_distances(one, label_facts([disc(8, 48), disc(8, 48)]))["across"] == pytest.approx(0.25, abs=0.01)
    assert label_distances(one, label_facts([disc(8, label=2)] * 2))["classes"] == 1
    void = np.where(disc(8) == 0, 255, 1).astype(np.uint8)
    assert label_distances(one, label_facts([void, void]))["ignored"] > 0.9
