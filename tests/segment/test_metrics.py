"""IoU against values worked out by hand."""

import numpy as np
import pytest

from dsfactory.segment.metrics import class_iou, confusion, mean_iou

TRUTH = np.array([[0, 0, 1, 1], [0, 2, 2, 255]], np.uint8)
GIVEN = np.array([[0, 1, 1, 1], [0, 2, 0, 2]], np.uint8)


def test_counts_are_true_rows_and_given_columns_without_void():
    assert confusion(TRUTH, GIVEN, 3).tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 1]]


def test_iou_of_each_class():
    assert class_iou(confusion(TRUTH, GIVEN, 3)).tolist() == pytest.approx([2 / 4, 2 / 3, 1 / 2])


def test_the_mean_is_over_the_classes_with_background_or_without():
    counts = confusion(TRUTH, GIVEN, 3)
    assert mean_iou(counts) == pytest.approx((2 / 4 + 2 / 3 + 1 / 2) / 3)
    assert mean_iou(counts, background=False) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_class_that_nowhere_occurs_stays_out_of_the_mean():
    counts = confusion(TRUTH, GIVEN, 4)
    assert np.isnan(class_iou(counts)[3])
    assert mean_iou(counts) == pytest.approx((2 / 4 + 2 / 3 + 1 / 2) / 3)


def test_a_set_is_counted_as_one():
    halves = confusion(TRUTH[:1], GIVEN[:1], 3) + confusion(TRUTH[1:], GIVEN[1:], 3)
    assert np.array_equal(halves, confusion(TRUTH, GIVEN, 3))


def test_all_void_counts_nothing():
    assert np.isnan(mean_iou(confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 3)))


@pytest.mark.parametrize("given", [np.full((2, 4), 3, np.uint8), np.zeros((2, 3), np.uint8)])
def test_ids_without_class_and_other_shapes_are_refused(given):
    with pytest.raises(ValueError, match=r"is not below 3|cannot be compared"):
        confusion(TRUTH, given, 3)
