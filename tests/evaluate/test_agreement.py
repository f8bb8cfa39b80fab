"""Boundary F and STAPLE, against what is known."""

import numpy as np
import pytest

from dsfactory.evaluate.agreement import boundary_f, patterns, staple


def disc(side: int, radius: float, at: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - at[0], x - at[1]) < radius


def test_boundaries_are_one_within_the_reach_and_none_where_one_is_missing():
    one, far = disc(100, 20, (50, 50)), disc(100, 30, (50, 50))
    assert boundary_f(one, one) == 1.0 == boundary_f(one & False, one & False)
    assert boundary_f(one, disc(100, 20.8, (50, 50))) > 0.95
    assert boundary_f(one, far) == 0.0 == boundary_f(one, one & False)
    assert boundary_f(np.ones((9, 9), bool), np.ones((9, 9), bool)) == 1.0


def test_patterns_count_answers():
    labels = [np.zeros((40, 40), np.uint8) for _ in range(3)]
    labels[0][10:20, 10:20], labels[1][10:20, 10:20] = 2, 2
    labels[2][10:20, 10:15] = 255
    found = patterns(labels, 2)
    assert found[1 + 3] == 50 and found[1 + 3 + 2 * 9] == 50  # yes yes no; yes yes nothing
    assert found.sum() == 40 * 40 and patterns(labels, 1)[0] == 40 * 40 - 50


def test_staple_finds_the_accuracy_of_raters_whose_errors_are_their_own():
    rng = np.random.default_rng(0)
    counts, hits, unions = np.zeros(27, np.int64), np.zeros(3), np.zeros(3)
    for _ in range(40):
        truth = disc(96, rng.uniform(15, 30), rng.uniform(35, 60, 2))
        raters = []
        for wrong in (0.02, 0.08, 0.2):
            flips = rng.random((12, 12)).repeat(8, 0).repeat(8, 1) < wrong
            raters.append((truth ^ flips).astype(np.uint8))
        counts += patterns(raters, 1)
        hits += [np.sum(truth & (one == 1)) for one in raters]
        unions += [np.sum(truth | (one == 1)) for one in raters]
    found = staple(counts, 3)
    assert found is not None
    assert np.allclose([one.iou for one in found], hits / unions, atol=0.03)
    assert found[0].sensitivity > found[2].sensitivity


def test_what_nobody_sees_has_no_accuracy():
    assert staple(np.zeros(27, np.int64), 3) is None
    counts = np.zeros(27, np.int64)
    counts[13] = 100  # all say yes, always
    found = staple(counts, 3)
    assert found is not None and found[0].iou == pytest.approx(1.0, abs=1e-3)
