"""Trust, label vectors, and judges."""

import numpy as np

from dsfactory.embed.scale import Scale
from dsfactory.stages.select.hard import mean_iou_of
from dsfactory.stages.select.trust import OF_LABEL, trust_of
from dsfactory.stages.select.vectors import joined, label_vector


def test_trust_is_a_place_within_the_class_by_the_worst_class_shown():
    rows = [
        {"agreement": [0.9, 0.1], "peak": [0.5, 0.5], "area": [0.2, 0.0]},  # what is not shown counts nothing
        {"agreement": [0.8], "peak": [0.4], "area": [0.2]},
        {"agreement": [0.3], "peak": [0.9], "area": [0.2]},  # the only one of its class
    ]
    found = trust_of(rows, ["dog", "dog", "bird"], OF_LABEL)
    assert found is not None and found.tolist() == [1.0, 0.5, 1.0]
    assert trust_of([{"key": "a"}], ["dog"], OF_LABEL) is None


def test_a_label_says_size_place_and_number():
    mask, instances = np.zeros((10, 20), np.uint8), np.zeros((10, 20), np.uint8)
    mask[2:4, 0:10], mask[8:, 16:], mask[:, 15] = 2, 2, 255
    instances[2:4, 0:10], instances[8:, 16:], instances[:, 15] = 1, 2, 255
    found = label_vector(mask, instances, 2)
    assert found[0] == 0 and np.isclose(found[1] ** 2, 28 / 200) and np.isclose(found[-2] ** 2, 0.05)
    assert np.isclose(np.expm1(found[-1]), 2) and found[2] < 0.5 < found[3] + 0.1
    assert label_vector(np.zeros_like(mask), np.zeros_like(mask), 2)[2:6].tolist() == [0.5, 0.5, 0, 0]


def test_a_joint_cosine_is_the_weighted_mean_of_both():
    rng = np.random.default_rng(0)
    one, other = (Scale(part)(part) for part in rng.normal(size=(2, 30, 5)).astype(np.float32))
    both = joined(one, other, 0.25)
    assert np.allclose(both @ both.T, 0.75 * one @ one.T + 0.25 * other @ other.T, atol=1e-5)


def test_a_judge_is_compared_where_the_label_says_something():
    label = np.array([[1, 1, 0, 255]], np.uint8)
    assert mean_iou_of(label, np.array([[1, 0, 0, 1]], np.uint8)) == 0.5
    assert mean_iou_of(label * 0, label) == 1.0
