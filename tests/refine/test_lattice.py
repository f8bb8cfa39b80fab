import numpy as np
import pytest
import torch

from dsfactory.refine.lattice import PermutohedralLattice


def lattice_filter(features, values):
    """Filter an array of shape (channels, points)."""
    lattice = PermutohedralLattice(torch.from_numpy(features))
    return lattice.filter(torch.from_numpy(np.ascontiguousarray(values.T))).numpy().T


def gaussian_filter(features, values):
    distance = ((features[:, :, None] - features[:, None, :]) ** 2).sum(axis=0)
    return values @ np.exp(-distance / 2)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_averages_like_a_gaussian(dimensions):
    rng = np.random.default_rng(dimensions)
    features = rng.uniform(0, 3, (dimensions, 1500)).astype(np.float32)
    values = np.stack([features[0], np.sin(features.sum(axis=0)), np.ones(1500)]).astype(np.float32)
    got, wanted = lattice_filter(features, values), gaussian_filter(features, values)
    error = got[:2] / got[2] - wanted[:2] / wanted[2]
    assert np.abs(error).mean() < 0.02 * (values[:2].max() - values[:2].min())


def test_is_linear_and_positive():
    rng = np.random.default_rng(0)
    features = rng.normal(0, 2, (5, 400)).astype(np.float32)
    a, b = rng.random((2, 1, 400)).astype(np.float32)
    sum_first = lattice_filter(features, a + 2 * b)
    assert sum_first == pytest.approx(lattice_filter(features, a) + 2 * lattice_filter(features, b), rel=1e-4)
    assert (lattice_filter(features, a) > 0).all()


def test_far_points_do_not_meet():
    features = np.array([[0.0, 0.1, 50.0, 50.1], [0.0, 0.0, -80.0, -80.0]], dtype=np.float32)
    out = lattice_filter(features, np.array([[1, 1, 0, 0]], dtype=np.float32))
    assert (out[0, :2] > 0.5).all()
    assert (out[0, 2:] == 0).all()


def test_channels_are_independent():
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (5, 300)).astype(np.float32)
    values = rng.random((4, 300)).astype(np.float32)
    together = lattice_filter(features, values)
    for channel in range(4):
        alone = lattice_filter(features, values[channel : channel + 1])[0]
        assert alone == pytest.approx(together[channel], rel=1e-5)


def test_groups_do_not_meet():
    """Equal points of two groups get what they would get alone."""
    rng = np.random.default_rng(2)
    features = torch.from_numpy(rng.normal(0, 1, (5, 200)).astype(np.float32))
    values = torch.from_numpy(rng.random((400, 2)).astype(np.float32))
    groups = torch.arange(2).repeat_interleave(200)
    both = PermutohedralLattice(torch.cat([features, features], dim=1), groups).filter(values)
    for group in range(2):
        alone = PermutohedralLattice(features).filter(values[groups == group])
        assert torch.allclose(both[groups == group], alone, rtol=1e-5)


def test_equal_input_gives_equal_bytes():
    rng = np.random.default_rng(3)
    features = rng.normal(0, 1, (5, 500)).astype(np.float32)
    values = rng.random((3, 500)).astype(np.float32)
    assert lattice_filter(features, values).tobytes() == lattice_filter(features, values).tobytes()


def test_features_that_span_too_many_cells_are_refused():
    features = torch.zeros(5, 2)
    features[:, 1] = 1e6
    with pytest.raises(ValueError, match="too many lattice cells"):
        PermutohedralLattice(features)


def test_one_point():
    out = lattice_filter(np.zeros((5, 1), dtype=np.float32), np.full((1, 1), 3.0, dtype=np.float32))
    assert out.shape == (1, 1)
    assert 0 < out[0, 0] <= 3.0
