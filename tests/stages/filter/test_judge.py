import numpy as np
import pytest

from dsfactory.core.sample import VOID
from dsfactory.stages.filter.judge import confident_labels, pixel_losses, self_confidence
from dsfactory.stages.filter.judge import judge as judge_with

THRESHOLDS = np.full(3, 0.5)


def judge(probabilities, mask, class_ids):
    return judge_with(probabilities, mask, class_ids, THRESHOLDS)


def confident(prediction, labels=3, certainty=0.9):
    """Probabilities of a network that predicts a label map with one certainty everywhere."""
    others = (1 - certainty) / (labels - 1)
    return np.stack([np.where(prediction == label, certainty, others) for label in range(labels)]).astype(np.float32)


def square(label, top=8, left=8, side=16, size=(40, 48)):
    mask = np.zeros(size, np.uint8)
    mask[top : top + side, left : left + side] = label
    return mask


def test_agreement_is_the_iou_of_label_and_prediction():
    found = judge(confident(square(1)), square(1, left=16), [1])
    assert found.iou == [pytest.approx(16 * 8 / (16 * 24))]


def test_each_class_of_the_sample_has_its_own_scores_in_its_order():
    mask = square(2) + square(1, top=26, side=6)
    found = judge(confident(square(2)), mask, [2, 1])
    assert found.iou == [1.0, 0.0]
    assert found.evidence == [pytest.approx(0.9), pytest.approx(0.05)]


def test_a_class_that_neither_has_is_not_judged():
    assert judge(confident(square(1)), square(1), [1, 2]).iou == [1.0, None]


def test_void_is_left_out_of_everything():
    mask = square(1)
    mask[:, 24:] = VOID
    wrong_there = square(1)
    wrong_there[:, 24:] = 2
    found = judge(confident(wrong_there), mask, [1])
    assert found.iou == [1.0]
    assert found.pixels.sum() == np.count_nonzero(mask != VOID)
    assert (pixel_losses(confident(wrong_there), mask)[:, 24:] == 0).all()


def test_losses_are_cross_entropies_summed_by_label():
    found = judge(confident(square(1)), square(1, left=16), [1])
    right, wrong = -np.log(0.9), -np.log(0.05)
    assert found.loss == pytest.approx([(40 * 48 - 384) * right + 128 * wrong, 128 * right + 128 * wrong, 0], rel=1e-5)
    assert found.pixels.tolist() == [40 * 48 - 256, 256, 0]


def test_a_certain_error_has_a_finite_loss():
    assert pixel_losses(confident(square(1), certainty=1.0), square(2)).max() == pytest.approx(13.8, abs=0.1)


def test_quality_falls_with_the_share_of_wrong_pixels():
    prediction = confident(square(1))
    scores = [judge(prediction, square(1, left=left), [1]).quality for left in (8, 12, 24)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(0.9, abs=0.01)


def test_quality_of_a_large_image_is_about_that_of_a_small_one():
    small = judge(confident(square(1)), square(1, left=12), [1]).quality
    large_mask = square(1, left=12).repeat(8, axis=0).repeat(8, axis=1)
    large = judge(confident(square(1)).repeat(8, axis=1).repeat(8, axis=2), large_mask, [1]).quality
    assert large == pytest.approx(small, abs=0.02)


def test_only_what_the_network_is_sure_of_contradicts_a_label():
    probabilities = np.array([[0.6, 0.1, 0.3, 0.2], [0.3, 0.7, 0.3, 0.5], [0.1, 0.2, 0.4, 0.3]], np.float32)[:, None]
    mask = np.array([[1, 2, 1, 2]], np.uint8)
    thresholds = np.array([0.5, 0.6, 0.6])
    assert confident_labels(probabilities, mask, thresholds).tolist() == [[0, 1, 1, 2]]


def test_among_sure_classes_the_likeliest_wins_and_void_stays():
    probabilities = np.array([[0.5, 0.5], [0.3, 0.3], [0.2, 0.2]], np.float32)[:, None]
    mask = np.array([[1, VOID]], np.uint8)
    assert confident_labels(probabilities, mask, np.array([0.4, 0.1, 0.1])).tolist() == [[0, VOID]]
    assert confident_labels(probabilities, mask, np.array([0.9, 0.1, 0.1])).tolist() == [[1, VOID]]


def test_a_network_that_never_learnt_a_class_does_not_contradict_it():
    prediction = confident(square(0), certainty=0.8)
    found = judge_with(prediction, square(1), [1], np.array([0.9, 0.15, 0.15]))
    assert (found.iou, found.confident_iou) == ([0.0], [1.0])


def test_self_confidence_is_summed_by_label():
    mask = square(1)
    mask[0] = VOID
    total, pixels = self_confidence(confident(square(1, left=16)), mask)
    assert pixels.tolist() == [39 * 48 - 256, 256, 0]
    assert total == pytest.approx([(39 * 48 - 256 - 128) * 0.9 + 128 * 0.05, 128 * 0.9 + 128 * 0.05, 0])
