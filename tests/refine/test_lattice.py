import numpy as np
import pytest

from dsfactory.refine.lattice import PermutohedralLattice


def gaussian_filter(features, values):
    distance = ((features[:, :, None] - features[:, None, :]) ** 2).sum(axis=0)
    return values @ np.exp(-distance / 2)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_averages_like_a_gaussian(dimensions):
    rng = np.random.default_rng(dimensions)
    features = rng.uniform(0, 3, (dimensions, 1500)).astype(np.float32)
    values = np.stack([features[0], np.sin(features.sum(axis=0)), np.ones(1500)]).astype(np.float32)
    lattice = PermutohedralLattice(features)
    got, wanted = lattice.filter(values), gaussian_filter(features, values)
    error = got[:2] / got[2] - wanted[:2] / wanted[2]
    assert np.abs(error).mean() < 0.02 * (values[:2].max() - values[:2].min())


def test_is_linear_and_positive():
    rng = np.random.default_rng(0)
    lattice = PermutohedralLattice(rng.normal(0, 2, (5, 400)).astype(np.float32))
    a, b = rng.random((2, 1, 400)).astype(np.float32)
    assert lattice.filter(a + 2 * b) == pytest.approx(lattice.filter(a) + 2 * lattice.filter(b), rel=1e-4)
    assert (lattice.filter(a) > 0).all()


def test_far_points_do_not_meet():
    features = np.array([[0.0, 0.1, 50.0, 50.1], [0.0, 0.0, -80.0, -80.0]], dtype=np.float32)
    out = PermutohedralLattice(features).filter(np.array([[1, 1, 0, 0]], dtype=np.float32))
    assert (out[0, :2] > 0.5).all()
    assert (out[0, 2:] == 0).all()


def test_channels_are_independent():
    rng = np.random.default_rng(1)
    lattice = PermutohedralLattice(rng.normal(0, 1, (5, 300)).astype(np.float32))
    values = rng.random((4, 300)).astype(np.float32)
    together = lattice.filter(values)
    for channel in range(4):
        assert np.array_equal(lattice.filter(values[channel : channel + 1])[0], together[channel])


def test_one_point():
    out = PermutohedralLattice(np.zeros((5, 1), dtype=np.float32)).filter(np.full((1, 1), 3.0, dtype=np.float32))
    assert out.shape == (1, 1)
    assert 0 < out[0, 0] <= 3.0
