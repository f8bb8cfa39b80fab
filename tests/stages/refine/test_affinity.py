import numpy as np
import pytest
import torch

from dsfactory.crf.kernels import Kernels
from dsfactory.stages.refine.affinity import Walk, confident_seeds, walked_maps
from dsfactory.stages.refine.affinity_net import (
    IGNORED,
    OFFSETS,
    RADIUS,
    AffinityNet,
    affinity_loss,
    grid_of,
    pair_distances,
    pair_labels,
)
from dsfactory.stages.refine.affinity_train import Example, net_bytes, net_from_bytes, train_affinity
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.fuse import fuse_maps
from dsfactory.stages.refine.mask import refine_mask
from dsfactory.stages.refine.threshold import otsu_threshold
from tests.stages.refine.scenes import draw_scene, iou

KERNELS = Kernels().scaled(0.25)


def fused_of(scene):
    return fuse_maps(scene.cross, scene.truth.shape, {16: 1.0, 8: 1.0})


def seeds_of(scene):
    return confident_seeds(scene.image, fused_of(scene), (0.35, 0.54), 12.0, KERNELS, 10)


@pytest.fixture(scope="module")
def examples():
    scenes = [draw_scene(seed, 1 + seed % 2, noise=0.6) for seed in range(6)]
    return [Example(scene.image, seeds_of(scene)) for scene in scenes]


@pytest.fixture(scope="module")
def net(examples):
    return train_affinity(examples, 20, seed=0)


def test_offsets_name_each_pair_of_cells_once():
    assert len(set(OFFSETS)) == len(OFFSETS)
    assert not {(-dy, -dx) for dy, dx in OFFSETS} & set(OFFSETS)
    reach = range(-RADIUS, RADIUS + 1)
    assert 2 * len(OFFSETS) + 1 == sum(dy * dy + dx * dx < RADIUS**2 for dy in reach for dx in reach)


@pytest.mark.parametrize(("size", "grid"), [((128, 128), (32, 32)), ((512, 512), (32, 32)), ((64, 128), (16, 32)),
                                            ((768, 512), (32, 21)), ((8, 1024), (1, 32))])  # fmt: skip
def test_grid_keeps_the_shape_of_the_image(size, grid):
    assert grid_of(size) == grid


def test_seeds_are_right_where_they_are_sure():
    for seed in range(3):
        scene = draw_scene(seed, 1 + seed % 2, noise=0.6)
        seeds = seeds_of(scene)
        truth = scene.truth[2::4, 2::4]
        sure = seeds != IGNORED
        assert seeds.shape == (32, 32)
        assert sure.mean() > 0.5
        assert set(np.unique(seeds[sure])) == set(np.unique(truth))
        assert (seeds == truth)[sure].mean() > 0.95


def test_pairs_are_of_the_background_of_one_class_or_different():
    seeds = torch.tensor([[[0, 0, 1, 1], [0, IGNORED, 2, 1]]], dtype=torch.uint8)
    background, foreground, different = (one[0] for one in pair_labels(seeds, ((0, 1), (1, 0))))
    assert background[0].tolist() == [[True, False, False, False], [False] * 4]
    assert foreground[0].tolist() == [[False, False, True, False], [False] * 4]
    assert different[0].tolist() == [[False, True, False, False], [False, False, True, False]]
    assert background[1].tolist()[0] == [True, False, False, False]
    assert foreground[1].tolist()[0] == [False, False, False, True]
    assert different[1].tolist()[0] == [False, False, True, False]


def test_distances_are_those_of_the_features():
    features = torch.rand(2, 3, 6, 7)
    distances = pair_distances(features, ((0, 2), (1, -1)))
    assert distances.shape == (2, 2, 6, 7)
    assert distances[1, 0, 3, 4] == pytest.approx((features[1, :, 3, 4] - features[1, :, 3, 6]).abs().mean().item())
    assert distances[0, 1, 3, 4] == pytest.approx((features[0, :, 3, 4] - features[0, :, 4, 3]).abs().mean().item())
    assert torch.isinf(distances[:, 0, :, 5:]).all()
    assert torch.isinf(distances[:, 1, 5]).all()
    assert torch.isinf(distances[:, 1, :, 0]).all()


@pytest.mark.parametrize("grid", [(32, 3), (3, 32), (32, 1), (1, 32)])
def test_grids_narrower_than_the_radius_have_the_pairs_that_fit(grid):
    """Of a picture of 500×5000, say."""
    distances = pair_distances(torch.rand(1, 2, *grid))[0]
    background, _, _ = pair_labels(torch.zeros(1, *grid, dtype=torch.uint8))
    for (dy, dx), row, known in zip(OFFSETS, distances, background[0], strict=True):
        fit = max(0, grid[0] - dy) * max(0, grid[1] - abs(dx))
        assert torch.isfinite(row).sum() == known.sum() == fit


def test_loss_wants_like_near_and_unlike_far():
    labels = tuple(torch.tensor([row]) for row in ([True, False, False], [False, True, False], [False, False, True]))
    right, wrong = (affinity_loss(torch.tensor([d]), labels) for d in ([0.0, 0.0, 9.0], [9.0, 9.0, 0.0]))
    assert right < 1e-3 < 1 < wrong
    assert affinity_loss(torch.ones(1, 3), tuple(torch.zeros(1, 3, dtype=torch.bool) for _ in range(3))) == 0


def test_learns_to_part_objects_from_the_background(net):
    """On scenes that it has not seen."""
    for seed in range(20, 23):
        scene = draw_scene(seed, noise=0.6)
        fused = fused_of(scene)
        walked = walked_maps(net, scene.image, fused, Walk())
        before, after = (iou(m[0] >= otsu_threshold(m[0]), scene.truth == 1) for m in (fused, walked))
        assert after > 0.85
        assert after > before - 0.02


def test_walk_keeps_shape_and_range(net):
    scene = draw_scene(1, 2, size=(96, 160))
    walked = walked_maps(net, scene.image, fused_of(scene), Walk(beta=8.0, steps=4))
    assert walked.shape == (2, 96, 160)
    assert walked.dtype == np.float32
    assert walked.min() == 0.0
    assert walked.max() == pytest.approx(1.0)


@pytest.mark.parametrize("size", [(500, 50), (50, 500)])
def test_walk_goes_over_narrow_pictures(net, size):
    fused = np.random.default_rng(0).random((1, *size), np.float32)
    walked = walked_maps(net, np.zeros((*size, 3), np.uint8), fused, Walk(steps=2))
    assert walked.shape == (1, *size)
    assert np.isfinite(walked).all()


def test_class_without_evidence_stays_empty(net):
    scene = draw_scene(1)
    fused = np.concatenate([fused_of(scene), np.zeros((1, 128, 128), np.float32)])
    assert not walked_maps(net, scene.image, fused, Walk())[1].any()


def test_equal_seeds_give_equal_bytes(examples):
    one, two, other = (net_bytes(train_affinity(examples, 2, seed)) for seed in (0, 0, 1))
    assert one == two
    assert one != other


def test_training_leaves_the_callers_random_numbers_alone(examples):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train_affinity(examples, 1, seed=0)
    assert torch.equal(torch.rand(3), wanted)


def test_interrupted_training_ends_with_the_same_weights(tmp_path, examples, monkeypatch):
    monkeypatch.setattr("dsfactory.stages.refine.affinity_train.SAVE_EVERY", 2)
    path = tmp_path / "training.safetensors"

    class Killed(Exception):
        pass

    seen = []

    def kill(step, steps):
        seen.append(step)
        if len(seen) == 4:
            raise Killed

    with pytest.raises(Killed):
        train_affinity(examples, 6, 0, path, kill)
    resumed = train_affinity(examples, 6, 0, path, kill)
    assert seen == [1, 2, 3, 4, 3, 4, 5, 6]  # the fourth step was not saved yet
    assert net_bytes(resumed) == net_bytes(train_affinity(examples, 6, 0))


@pytest.mark.parametrize("spoil", [lambda data: data[:100], lambda data: b"", lambda data: b"x" * 5000])
def test_broken_or_foreign_checkpoint_is_begun_anew(tmp_path, examples, monkeypatch, spoil):
    monkeypatch.setattr("dsfactory.stages.refine.affinity_train.SAVE_EVERY", 1)
    path = tmp_path / "training.safetensors"
    train_affinity(examples, 2, 1, path)
    wanted = net_bytes(train_affinity(examples, 2, 0))
    assert net_bytes(train_affinity(examples, 2, 0, path)) == wanted  # the file is another seed's
    path.write_bytes(spoil(path.read_bytes()))
    assert net_bytes(train_affinity(examples, 2, 0, path)) == wanted


def test_nothing_sure_is_nothing_to_learn(examples):
    unsure = [Example(one.image, np.full_like(one.seeds, IGNORED)) for one in examples]
    with pytest.raises(ValueError, match="sure of both"):
        train_affinity(unsure, 1, 0)


def test_file_holds_the_network(net):
    other = net_from_bytes(net_bytes(net))
    assert isinstance(other, AffinityNet)
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(other(images), net(images))


def test_mask_follows_the_network(net):
    scene = draw_scene(30, noise=0.6)
    mask = refine_mask(scene.image, scene.cross, {}, (3,), RefineConfig(affinity="net"), net)
    assert iou(mask.labels == 3, scene.truth == 1) > 0.9


def test_without_affinity_what_was_captured_is_not_looked_at():
    scene = draw_scene(5)
    config = RefineConfig(affinity="none")
    given = refine_mask(scene.image, scene.cross, scene.affinity, (1,), config)
    without = refine_mask(scene.image, scene.cross, {}, (1,), config)
    assert np.array_equal(given.labels, without.labels)
    assert given.agreement == without.agreement
