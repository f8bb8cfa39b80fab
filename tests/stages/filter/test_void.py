import numpy as np
import pytest

from dsfactory.core.sample import VOID
from dsfactory.stages.filter.rules import Verdict
from dsfactory.stages.filter.void import loss_limits, void_doubtful
from tests.stages.filter.scores import score
from tests.stages.filter.test_judge import confident, square

KEPT, DROPPED = Verdict("", "", 1.0), Verdict("iou", "", 0.0)


def test_limits_are_a_multiple_of_the_mean_loss_of_each_label():
    scores = [score(0, loss=[10.0, 6.0, 0.0], pixels=[100, 10, 0]), score(1, loss=[20.0, 0.0, 4.0], pixels=[200, 0, 2])]
    limits = loss_limits(scores, [KEPT, KEPT], 1.25)
    assert limits == pytest.approx([1.25 * 30 / 300, 1.25 * 0.6, 1.25 * 2])


def test_dropped_samples_do_not_raise_the_limits():
    scores = [score(0, loss=[1.0, 1.0, 0.0], pixels=[10, 10, 0]), score(1, loss=[9.0, 90.0, 0.0], pixels=[10, 10, 0])]
    assert loss_limits(scores, [KEPT, DROPPED], 1.0) == pytest.approx([0.1, 0.1, np.inf])


def test_zero_leaves_every_pixel():
    assert np.isinf(loss_limits([score(0, loss=[1.0, 1.0, 0.0], pixels=[1, 1, 1])], [KEPT], 0.0)).all()


def test_pixels_over_the_limit_of_their_own_label_become_void():
    mask = square(1, left=16)
    new, instances = void_doubtful(mask, mask, confident(square(1)), np.array([5.0, 1.0, np.inf]))
    disputed = (mask == 1) & (square(1) == 0)
    assert (new[disputed] == VOID).all()
    assert (new[~disputed] == mask[~disputed]).all()
    assert ((instances == VOID) == disputed).all()
    new, _ = void_doubtful(mask, mask, confident(square(1)), np.array([1.0, 5.0, np.inf]))
    assert ((new == VOID) == ((mask == 0) & (square(1) == 1))).all()


def test_an_outline_that_the_network_has_a_little_elsewhere_stays():
    mask = square(1, size=(128, 128), side=60)
    for prediction in (square(1, top=11, size=(128, 128), side=60), square(1, 10, 10, 56, (128, 128))):
        new, _ = void_doubtful(mask, mask, confident(prediction), np.array([1.0, 1.0, np.inf]))
        assert (new == mask).all()
    new, _ = void_doubtful(mask, mask, confident(square(1, 20, 20, 36, (128, 128))), np.array([1.0, 1.0, np.inf]))
    assert ((new == VOID) == ((mask == 1) & (square(1, 20, 20, 36, (128, 128)) == 0))).all()


def test_an_object_that_vanishes_leaves_no_gap_in_the_ids():
    mask = square(1, top=0, left=0, side=6) + square(1, top=20, left=20, side=6)
    instances = square(1, top=0, left=0, side=6) + square(2, top=20, left=20, side=6)
    prediction = square(1, top=20, left=20, side=6)
    new, numbered = void_doubtful(mask, instances, confident(prediction), np.array([5.0, 1.0, np.inf]))
    assert set(np.unique(new)) == {0, 1, VOID}
    assert (numbered[20:26, 20:26] == 1).all()
    assert set(np.unique(numbered)) == {0, 1, VOID}


def test_void_that_was_there_stays():
    mask = square(1)
    mask[0] = VOID
    new, instances = void_doubtful(mask, mask, confident(square(1)), np.full(3, np.inf))
    assert (new == mask).all() and (instances == mask).all()
