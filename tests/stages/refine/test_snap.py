"""What a second witness changes, against one that returns the truth plus noise."""

import numpy as np
import pytest

from dsfactory.core.sample import VOID
from dsfactory.stages.refine.snap import deep_points, prompted, prompts_for, snap

IMAGE = np.zeros((64, 64, 3), np.uint8)


def disc(row, column, radius):
    rows, columns = np.mgrid[:64, :64]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def labelled(*objects):
    labels, instances = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    for number, pixels in enumerate(objects, start=1):
        labels[pixels], instances[pixels] = 7, number
    return labels, instances


def witness(*masks, score=0.95):
    return prompted(lambda image, prompts: [(mask, score) for mask in masks])


TRUTH = disc(32, 32, 16)


def test_the_outline_is_taken_where_both_agree():
    ours = disc(32, 32, 15)
    found = snap(IMAGE, *labelled(ours), witness(TRUTH))
    assert np.array_equal(found.labels == 7, TRUTH) and np.array_equal(found.instances == 1, TRUTH)
    assert found.iou[0] == pytest.approx(ours.sum() / TRUTH.sum()) and found.score == (0.95,)


def test_where_they_agree_in_part_the_difference_is_ignored():
    ours = disc(32, 35, 13)
    found = snap(IMAGE, *labelled(ours), witness(TRUTH))
    assert 0.5 < found.iou[0] < 0.8
    assert np.array_equal(found.labels == 7, ours & TRUTH)
    assert np.array_equal(found.labels == VOID, ours ^ TRUTH) and np.array_equal(found.instances == VOID, ours ^ TRUTH)


@pytest.mark.parametrize(("mask", "score"), [(disc(10, 10, 6), 0.95), (TRUTH, 0.6), (np.zeros((64, 64), bool), 0.99)])
def test_ours_stays_where_the_witness_fails(mask, score):
    labels, instances = labelled(disc(32, 32, 15))
    found = snap(IMAGE, labels, instances, witness(mask, score=score))
    assert np.array_equal(found.labels, labels) and np.array_equal(found.instances, instances)


def test_ignore_is_settled_and_says_nothing_about_agreement():
    labels, instances = labelled(disc(32, 32, 15))
    ring = TRUTH & ~disc(32, 32, 14)
    labels[ring] = instances[ring] = VOID
    found = snap(IMAGE, labels, instances, witness(TRUTH))
    assert found.iou == (1.0,) and np.array_equal(found.labels == 7, TRUTH) and not (found.labels == VOID).any()


def test_an_object_takes_nothing_from_another():
    left, right = disc(32, 20, 12), disc(32, 44, 12)
    labels, instances = labelled(left, right)
    labels[right & ~left] = 9
    found = snap(IMAGE, labels, instances, witness(left | right, right))
    assert np.array_equal(found.instances, instances) and np.array_equal(found.labels, labels)


def test_prompts_are_inside_their_object_and_outside_in_the_nearest_others():
    objects = [disc(16, 16, 10), disc(16, 48, 10), disc(50, 30, 8)]
    first, _, _ = prompts_for(objects)
    assert first.box == (6, 6, 27, 27)
    assert len(first.inside) == 3 and all(objects[0][int(y), int(x)] for x, y in first.inside)
    assert [objects[place][int(y), int(x)] for place, (x, y) in zip((1, 2), first.outside, strict=True)] == [True, True]
    assert deep_points(objects[0], 1) == [(16.0, 16.0)]


def test_noise_of_a_few_pixels_ends_closer_to_the_truth_than_ours():
    rng = np.random.default_rng(0)
    before, after = [], []
    for _ in range(20):
        ours = disc(32 + rng.integers(-2, 3), 32 + rng.integers(-2, 3), 15)
        theirs = disc(32, 32, 16 + rng.integers(-1, 2))
        found = snap(IMAGE, *labelled(ours), witness(theirs))
        known = found.labels != VOID
        before.append((ours & TRUTH).sum() / (ours | TRUTH).sum())
        after.append((found.labels == 7)[known & TRUTH].sum() / ((found.labels == 7) | (TRUTH & known)).sum())
    assert np.mean(after) > np.mean(before) + 0.05
