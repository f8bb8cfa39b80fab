import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsfactory.crf.crf import dense_crf
from dsfactory.crf.crf_cpu import softmax
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.thumbnail import Thumbnail
from dsfactory.stages.refine.fuse import fuse_maps
from dsfactory.stages.refine.threshold import (
    CLOSE,
    candidate_thresholds,
    choose_threshold,
    mask_iou,
    otsu_threshold,
    soft_logits,
    sweep_agreement,
    swept,
)
from tests.stages.refine.scenes import draw_scene

KERNELS = Kernels().scaled(0.25)


def test_candidates_are_those_of_the_paper():
    candidates = candidate_thresholds()
    assert len(candidates) == 20
    assert candidates[0] == 0.35
    assert candidates[-1] == 0.54
    assert candidate_thresholds(0.4, 0.4) == (0.4,)


def test_iou():
    a = np.array([True, True, False])
    assert mask_iou(a, a) == 1.0
    assert mask_iou(a, ~a) == 0.0
    assert mask_iou(a, np.array([True, False, False])) == 0.5
    assert mask_iou(np.zeros(3, bool), np.zeros(3, bool)) == 1.0


@settings(deadline=None)
@given(st.floats(0.05, 0.4), st.floats(0.55, 0.95), st.integers(0, 1000))
def test_otsu_parts_two_heaps(low, high, seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(low, 0.01, 600), rng.normal(high, 0.01, 200)]).clip(0, 1)
    assert (values >= otsu_threshold(values)).sum() == 200


def test_logits_are_zero_at_the_threshold():
    maps = np.array([[[0.2, 0.4]], [[0.4, 0.9]]], dtype=np.float32)
    logits = soft_logits(maps, [0.4, 0.4], 10.0)
    assert logits.dtype == np.float32
    assert logits.ravel() == pytest.approx([-2.0, 0.0, 0.0, 5.0], abs=1e-5)


@pytest.mark.parametrize("wanted", [0.36, 0.45, 0.53])
def test_finds_the_threshold_that_made_the_target(wanted):
    scene = draw_scene(4, noise=0.6)
    fused = fuse_maps(scene.cross, scene.truth.shape, {16: 1.0})
    candidates = candidate_thresholds()
    agreement = sweep_agreement(
        Thumbnail(scene.image, KERNELS, None), fused, fused >= wanted, candidates, 200.0, iterations=0
    )
    assert agreement.shape == (1, 20)
    assert choose_threshold(agreement[0], candidates, candidates) == pytest.approx(wanted, abs=0.011)
    assert agreement.max() > 0.99


def exhaustive(scene, fused, target, candidates, kernels):
    """A dense CRF of its own for every candidate, at full size."""
    agreement = []
    for candidate in candidates:
        logits = soft_logits(fused, [candidate], 12.0)
        start = softmax(np.concatenate([np.zeros_like(logits), logits]))
        agreement.append(mask_iou(dense_crf(scene.image, start, kernels).argmax(axis=0) == 1, target))
    return np.array(agreement)


def test_sweep_is_the_exhaustive_one_where_the_image_is_small():
    candidates = candidate_thresholds()[::3]
    scene = draw_scene(3, 2, noise=0.6)
    fused = fuse_maps(scene.cross, scene.truth.shape, {16: 1.0})
    targets = np.stack([scene.truth == 1, scene.truth == 2])
    quick = sweep_agreement(Thumbnail(scene.image, KERNELS), fused, targets, candidates, 12.0, 10)
    for row, one, target in zip(quick, fused, targets, strict=True):
        assert row == pytest.approx(exhaustive(scene, one[None], target, candidates, KERNELS), abs=2e-3)


def test_thumbnail_chooses_what_the_exhaustive_sweep_chooses():
    candidates = candidate_thresholds()
    tried = swept(candidates)
    gaps, losses = [], []
    for seed in range(3):
        scene = draw_scene(seed, 1 + seed % 2, (256, 256), noise=0.6)
        fused = fuse_maps(scene.cross, scene.truth.shape, {16: 1.0})
        targets = np.stack([scene.truth == k + 1 for k in range(len(fused))])
        kernels = Kernels().scaled(0.5)
        full = sweep_agreement(Thumbnail(scene.image, kernels, None), fused, targets, candidates, 12.0, 10)
        quick = sweep_agreement(Thumbnail(scene.image, kernels), fused, targets, tried, 12.0, 10)
        for exact, estimate in zip(full, quick, strict=True):
            chosen = choose_threshold(estimate, tried, candidates)
            gaps.append(abs(chosen - choose_threshold(exact, candidates, candidates)))
            losses.append(exact.max() - np.interp(chosen, candidates, exact))
    assert np.max(gaps) <= 0.01
    assert np.max(losses) < CLOSE / 2


def test_classes_are_swept_independently():
    scene = draw_scene(0, 2, size=(96, 160))
    fused = fuse_maps(scene.cross, scene.truth.shape, {16: 1.0})
    targets = np.stack([scene.truth == 1, scene.truth == 2])
    thumbnail = Thumbnail(scene.image, KERNELS, side=64)
    both = sweep_agreement(thumbnail, fused, targets, (0.4, 0.5), 12.0, 5)
    second = sweep_agreement(thumbnail, fused[1:], targets[1:], (0.4, 0.5), 12.0, 5)
    assert np.array_equal(both[1:], second)


def test_every_second_candidate_is_tried_and_the_last():
    assert swept((0.1, 0.2, 0.3, 0.4)) == (0.1, 0.3, 0.4)
    assert swept((0.1, 0.2, 0.3)) == (0.1, 0.3)
    assert swept((0.1,)) == (0.1,)


@pytest.mark.parametrize(
    ("agreement", "choice"),
    [
        ([0.2, 0.7, 0.7, 0.7, 0.1], 3),
        ([0.9, 0.9], 1.5),
        ([0.1, 0.5, 0.9], 3),
        ([0.8, 0.8 - CLOSE / 2, 0.1, 0.1], 4 / 3),  # half as close, half the say
        ([0.8, 0.8 - 2 * CLOSE, 0.1, 0.1], 1),  # not close
        ([0.9, 0.1, 0.9, 0.9, 0.9], 1),  # of equal peaks the first
    ],
)
def test_the_centre_of_the_best_candidates_wins(agreement, choice):
    candidates = range(1, len(agreement) + 1)
    assert choose_threshold(np.array(agreement), candidates, candidates) == pytest.approx(choice)


def test_a_few_pixels_more_or_less_change_the_choice_little():
    """The point of averaging: the best of a flat row is a matter of chance, its centre is not."""
    candidates = candidate_thresholds()
    curve = 0.9 - 2.0 * (np.array(candidates) - 0.44) ** 2
    rng = np.random.default_rng(0)
    noisy = [curve + rng.normal(0, 0.001, len(curve)) for _ in range(50)]
    choices = [choose_threshold(one, candidates, candidates) for one in noisy]
    assert np.std(choices) < 0.002
    assert np.std([candidates[int(one.argmax())] for one in noisy]) > 2 * np.std(choices)


def test_candidates_between_tried_ones_are_interpolated():
    candidates = (0.1, 0.2, 0.3)
    assert choose_threshold(np.array([0.5, 0.5]), (0.1, 0.3), candidates) == pytest.approx(0.2)


def test_thresholds_agree_as_well_where_torch_sweeps_them():
    scene = draw_scene(4, 2)
    thumbnail = Thumbnail(scene.image, Kernels().scaled(scene.image.shape[0] / 512))
    maps = np.stack([(scene.truth == k).astype(np.float32) for k in (1, 2)])
    fused = np.stack([cv2.GaussianBlur(one, (0, 0), 6) for one in maps])
    tried = swept(candidate_thresholds())
    ours, theirs = (sweep_agreement(thumbnail, fused, maps > 0, tried, 12.0, 10, device) for device in (None, "cpu"))
    assert theirs == pytest.approx(ours, abs=0.01)
