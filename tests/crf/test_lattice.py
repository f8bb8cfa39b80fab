import numpy as np
import pytest
import torch

from dsfactory.crf.lattice import PermutohedralLattice
from dsfactory.crf.lattice_cpu import CpuLattice


def lattice_filter(features, values):
    """Filter an array of shape (channels, points)."""
    lattice = PermutohedralLattice(torch.from_numpy(features))
    return lattice.filter(torch.from_numpy(np.ascontiguousarray(values.T))).numpy().T


def cpu_filter(features, values):
    lattice = CpuLattice(features)
    return lattice.slice(lattice.blur(lattice.splat(np.ascontiguousarray(values.T)))).T


BOTH = pytest.mark.parametrize("filtered", [lattice_filter, cpu_filter], ids=["torch", "numpy"])


def gaussian_filter(features, values):
    distance = ((features[:, :, None] - features[:, None, :]) ** 2).sum(axis=0)
    return values @ np.exp(-distance / 2)


@BOTH
@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_averages_like_a_gaussian(filtered, dimensions):
    rng = np.random.default_rng(dimensions)
    features = rng.uniform(0, 3, (dimensions, 1500)).astype(np.float32)
    values = np.stack([features[0], np.sin(features.sum(axis=0)), np.ones(1500)]).astype(np.float32)
    got, wanted = filtered(features, values), gaussian_filter(features, values)
    error = got[:2] / got[2] - wanted[:2] / wanted[2]
    assert np.abs(error).mean() < 0.02 * (values[:2].max() - values[:2].min())


@BOTH
def test_is_linear_and_positive(filtered):
    rng = np.random.default_rng(0)
    features = rng.normal(0, 2, (5, 400)).astype(np.float32)
    a, b = rng.random((2, 1, 400)).astype(np.float32)
    sum_first = filtered(features, a + 2 * b)
    assert sum_first == pytest.approx(filtered(features, a) + 2 * filtered(features, b), rel=1e-4)
    assert (filtered(features, a) > 0).all()


@BOTH
def test_far_points_do_not_meet(filtered):
    features = np.array([[0.0, 0.1, 50.0, 50.1], [0.0, 0.0, -80.0, -80.0]], dtype=np.float32)
    out = filtered(features, np.array([[1, 1, 0, 0]], dtype=np.float32))
    assert (out[0, :2] > 0.5).all()
    assert (out[0, 2:] == 0).all()


@BOTH
def test_channels_are_independent(filtered):
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (5, 300)).astype(np.float32)
    values = rng.random((4, 300)).astype(np.float32)
    together = filtered(features, values)
    for channel in range(4):
        alone = filtered(features, values[channel : channel + 1])[0]
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


@BOTH
def test_equal_input_gives_equal_bytes(filtered):
    rng = np.random.default_rng(3)
    features = rng.normal(0, 1, (5, 500)).astype(np.float32)
    values = rng.random((3, 500)).astype(np.float32)
    assert filtered(features, values).tobytes() == filtered(features, values).tobytes()


def test_features_that_span_too_many_cells_are_refused():
    features = torch.zeros(5, 2)
    features[:, 1] = 1e6
    for lattice in (PermutohedralLattice, lambda given: CpuLattice(given.numpy())):
        with pytest.raises(ValueError, match="too many lattice cells"):
            lattice(features)


@BOTH
def test_one_point(filtered):
    out = filtered(np.zeros((5, 1), dtype=np.float32), np.full((1, 1), 3.0, dtype=np.float32))
    assert out.shape == (1, 1)
    assert 0 < out[0, 0] <= 3.0


@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0])
def test_numpy_and_torch_agree(spread):
    """Also where point numbers and cells do not fit into one integer together."""
    rng = np.random.default_rng(4)
    features = rng.normal(0, spread, (5, 700)).astype(np.float32)
    values = rng.random((2, 700)).astype(np.float32)
    assert cpu_filter(features, values) == pytest.approx(lattice_filter(features, values), rel=1e-4)


def test_part_of_the_points_is_filtered_as_part_of_all():
    rng = np.random.default_rng(5)
    lattice = CpuLattice(rng.normal(0, 1, (5, 400)).astype(np.float32))
    values = rng.random((400, 2)).astype(np.float32)
    at = np.flatnonzero(rng.random(400) < 0.2)
    alone = np.zeros_like(values)
    alone[at] = values[at]
    grid = lattice.splat(values[at], lattice.rows(at))
    assert grid == pytest.approx(lattice.splat(alone), abs=1e-5)
    assert lattice.slice(grid, lattice.rows(at)) == pytest.approx(lattice.slice(grid)[at])
