from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsfactory.stages.refine.clean import label_instances
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from tests.stages.refine.scenes import draw_scene, iou

PLAIN = RefineConfig(crf_iterations=0, certainty=0.0, min_box=0, max_hole=0, threshold=0.45)


@pytest.mark.parametrize("size", [(128, 128), (96, 160), (192, 128)])
@pytest.mark.parametrize("objects", [1, 2])
def test_masks_fit_the_objects(size, objects):
    """Attention at 1/8 of the side becomes masks that follow the outline, better than any cut of it."""
    for seed in range(3):
        scene = draw_scene(seed, objects, size)
        mask = refine_mask(scene.image, scene.cross, scene.affinity, range(1, objects + 1), RefineConfig())
        raw = refine_mask(scene.image, scene.cross, scene.affinity, range(1, objects + 1), PLAIN)
        for k in range(1, objects + 1):
            assert iou(mask.labels == k, scene.truth == k) > 0.93
            assert iou(mask.labels == k, scene.truth == k) > iou(raw.labels == k, scene.truth == k)


def test_scores_describe_the_mask():
    scene = draw_scene(1, 2)
    mask = refine_mask(scene.image, scene.cross, scene.affinity, (4, 9), RefineConfig())
    assert set(np.unique(mask.labels)) <= {0, 4, 9, 255}
    assert mask.area == (np.mean(mask.labels == 4), np.mean(mask.labels == 9))
    assert mask.void == np.mean(mask.labels == 255)
    assert mask.components == (1, 1)
    assert all(0.35 <= value <= 0.54 for value in mask.thresholds)
    assert all(0.5 < value <= 1 for value in mask.agreement)
    assert mask.peak == pytest.approx([max(float(maps[k].max()) for maps in scene.cross.values()) for k in range(2)])
    assert set(np.unique(mask.instances)) - {255} == {0, 1, 2}


def test_order_of_classes_does_not_matter():
    scene = draw_scene(2, 2)
    one = refine_mask(scene.image, scene.cross, scene.affinity, (1, 2), RefineConfig())
    swapped = [{grid: maps[::-1] for grid, maps in each.items()} for each in (scene.cross, scene.affinity)]
    other = refine_mask(scene.image, *swapped, (2, 1), RefineConfig())
    assert np.array_equal(one.labels, other.labels)
    assert one.thresholds == other.thresholds[::-1]


@pytest.mark.parametrize("objects", [1, 2])
def test_a_class_that_is_not_there_has_no_mask_and_takes_nothing(objects):
    """Asked for and not drawn: its attention lies on what is drawn, and each map is stretched to its own maximum."""
    ids = range(1, objects + 1)
    for seed in range(3):
        scene = draw_scene(seed, objects)
        rng = np.random.default_rng(seed)

        def one_more(each, rng=rng):
            return {
                grid: np.concatenate([maps, 0.3 * maps.mean(0, keepdims=True) * rng.uniform(0.7, 1, maps[:1].shape)])
                .astype(maps.dtype) for grid, maps in each.items()
            }  # fmt: skip

        told = one_more(scene.cross), one_more(scene.affinity)
        mask = refine_mask(scene.image, *told, (*ids, 9), RefineConfig())
        right = refine_mask(scene.image, scene.cross, scene.affinity, ids, RefineConfig())
        assert np.array_equal(mask.labels, right.labels)
        assert mask.area[-1] == 0 and mask.claim[-1] < 0.45 < min(mask.claim[:-1])
        assert mask.claim[:-1] == right.claim and mask.area[:-1] == right.area
        everything = refine_mask(scene.image, *told, (*ids, 9), RefineConfig(min_claim=0, max_halo=0))
        assert objects == 1 or everything.area[-1] > 0


def test_the_last_class_is_never_left_out():
    """Nobody contests it, however little it gets."""
    scene = draw_scene(3)
    maps = {grid: np.concatenate([one, one, one]) for grid, one in scene.cross.items()}
    mask = refine_mask(scene.image, maps, {}, (1, 2, 3), RefineConfig(min_claim=1.0))
    assert np.count_nonzero(mask.area) == 1


def test_classes_compete_for_what_both_claim():
    """Two classes claim the same object; the stronger claim relative to its own peak takes each pixel."""
    scene = draw_scene(3)
    whole = scene.cross[16, 16][0].astype(np.float32)
    left = whole * np.linspace(1.2, 0.4, 16, dtype=np.float32)
    maps = {(16, 16): np.stack([left, left[:, ::-1]]).astype(np.float16)}
    mask = refine_mask(scene.image, maps, {}, (1, 2), RefineConfig(threshold=0.4))
    columns = np.arange(128)
    centres = [(mask.labels == k).sum(axis=0) @ columns / (mask.labels == k).sum() for k in (1, 2)]
    assert centres[0] < centres[1]


def test_class_without_evidence_is_absent_and_leaves_the_other_alone():
    scene = draw_scene(1)
    maps = {grid: np.concatenate([one, np.zeros_like(one)]) for grid, one in scene.cross.items()}
    affinity = {grid: np.concatenate([one, np.zeros_like(one)]) for grid, one in scene.affinity.items()}
    mask = refine_mask(scene.image, maps, affinity, (1, 2), RefineConfig())
    alone = refine_mask(scene.image, scene.cross, scene.affinity, (1,), RefineConfig())
    assert mask.area[1] == mask.components[1] == mask.peak[1] == 0
    assert iou(mask.labels == 1, alone.labels == 1) > 0.99


@pytest.mark.parametrize("classes", [1, 2])
def test_attention_that_says_nothing_makes_no_mask(classes):
    """As of random weights: stretched to its own maximum, noise would cover the image."""
    rng = np.random.default_rng(1)
    maps = {(16, 16): (0.013 + 0.0005 * rng.normal(0, 1, (classes, 16, 16))).astype(np.float16)}
    mask = refine_mask(draw_scene(1).image, maps, {}, range(1, classes + 1), RefineConfig())
    assert not mask.labels.any()
    assert mask.missing == ("its attention has no contrast",) * classes
    everything = refine_mask(draw_scene(1).image, maps, {}, range(1, classes + 1), RefineConfig(min_contrast=0))
    assert max(everything.area) > 0.3 and "" in everything.missing


def halo_maps(scene, seed, spread=1.2):
    """The scene's maps and one more, that lies unevenly on all of its objects and a bit further around them."""
    rng, more = np.random.default_rng(seed), {}
    for grid, maps in scene.cross.items():
        every = cv2.GaussianBlur(maps.astype(np.float32).max(axis=0) - 0.02, (0, 0), spread * grid[0] / 16)
        uneven = 0.01 + 0.5 * every * rng.uniform(0.5, 1, grid)
        more[grid] = np.concatenate([maps, uneven[None].astype(np.float16)])
    return more


@pytest.mark.parametrize("seed", [0, 1])
def test_a_halo_around_other_classes_is_no_mask(seed):
    scene = draw_scene(seed, 2, noise=0.0)
    maps, loose = halo_maps(scene, seed), {"min_claim": 0.2, "affinity": "none"}
    ring = refine_mask(scene.image, maps, {}, (1, 2, 9), RefineConfig(**loose, max_halo=0))
    assert ring.area[2] > 0.03, "without the rule there is one"
    mask = refine_mask(scene.image, maps, {}, (1, 2, 9), RefineConfig(**loose))
    right = refine_mask(scene.image, scene.cross, {}, (1, 2), RefineConfig(**loose))
    assert mask.missing == ("", "", "it only surrounds another class")
    assert np.array_equal(mask.labels, right.labels)


def test_of_two_that_claim_one_place_the_flat_one_is_not_there():
    """Even where its map, stretched, wins the pixels: what the other has is a peak."""
    scene = draw_scene(2)
    flat = {grid: (0.03 + 0.1 * (maps > 0.04)).astype(np.float16) for grid, maps in scene.cross.items()}
    maps = {grid: np.concatenate([one.astype(np.float32) - 0.019, flat[grid]]) for grid, one in scene.cross.items()}
    mask = refine_mask(scene.image, maps, {}, (1, 2), RefineConfig(affinity="none"))
    assert mask.area[0] > 0 and mask.missing == ("", "its attention has no peak of its own")


def test_no_evidence_at_all_gives_background():
    empty = {(16, 16): np.zeros((1, 16, 16), dtype=np.float16)}
    mask = refine_mask(draw_scene(0).image, empty, {}, (1,), RefineConfig())
    assert not mask.labels.any()
    assert mask.area == (0.0,)


def test_without_self_attention_the_map_judges_itself():
    scene = draw_scene(5)
    mask = refine_mask(scene.image, scene.cross, {}, (1,), RefineConfig())
    assert iou(mask.labels == 1, scene.truth == 1) > 0.9


def test_fixed_threshold_is_taken_as_it_is():
    scene = draw_scene(5)
    mask = refine_mask(scene.image, scene.cross, scene.affinity, (1,), PLAIN.model_copy(update={"threshold": 0.7}))
    low = refine_mask(scene.image, scene.cross, scene.affinity, (1,), PLAIN.model_copy(update={"threshold": 0.2}))
    assert mask.thresholds == (0.7,)
    assert mask.area[0] < low.area[0]


def test_crf_that_eats_a_thin_object_is_overruled():
    """A thin faint line that the appearance kernel would give to the background."""
    image = np.full((128, 128, 3), 120, dtype=np.uint8)
    maps = np.zeros((1, 16, 16), dtype=np.float16)
    maps[0, 2:14, 8] = 0.1
    config = RefineConfig(threshold=0.45, sharpness=4.0)
    eaten = refine_mask(image, {(16, 16): maps}, {}, (1,), config.model_copy(update={"crf_min_iou": 0.0}))
    kept = refine_mask(image, {(16, 16): maps}, {}, (1,), config)
    assert eaten.area == (0.0,)
    assert kept.area[0] > 0.03


def test_wider_band_means_more_void():
    scene = draw_scene(6, 2, noise=0.6)
    config = RefineConfig(threshold=0.45, sharpness=2.0, crf_iterations=1, min_box=0, max_hole=0)
    masks = [
        refine_mask(scene.image, scene.cross, {}, (1, 2), config.model_copy(update={"certainty": level}))
        for level in (0.0, 0.7, 0.9, 0.99)
    ]
    assert masks[0].void == 0.0
    for narrow, wide in pairwise(masks):
        assert wide.void > narrow.void
        assert ((wide.labels == 255) >= (narrow.labels == 255)).all()
        sure = wide.labels != 255
        assert np.array_equal(wide.labels[sure], narrow.labels[sure])


def test_an_object_with_an_uncertain_band_is_one_object():
    """What its pixels are is not sure there, but not that both sides belong together."""
    maps = np.zeros((1, 16, 16), dtype=np.float16)
    maps[0, 3:13, 4:12] = 1.0
    maps[0, 7:9, 4:12] = 0.5
    alone = RefineConfig(threshold=0.45, gaussian_compat=0.0, bilateral_compat=0.0)  # the CRF leaves the map as it is
    mask = refine_mask(draw_scene(1).image, {(16, 16): maps}, {}, (7,), alone)
    assert label_instances(mask.labels)[1] == {7: 2}
    assert mask.components == (1,)
    assert set(np.unique(mask.instances)) == {0, 1, 255}
    assert np.array_equal(mask.instances == 1, mask.labels == 7)


def test_without_a_crf_nothing_is_void():
    scene = draw_scene(6)
    mask = refine_mask(scene.image, scene.cross, {}, (1,), RefineConfig(crf_iterations=0))
    assert mask.void == 0.0
    assert mask.area[0] > 0.1


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.sampled_from([(64, 64), (40, 72), (72, 40), (33, 65)]),
    st.booleans(),
)
def test_any_evidence_gives_a_well_formed_mask(seed, classes, size, with_affinity):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    maps = {(16, 16): rng.exponential(0.1, (classes, 16, 16)).astype(np.float16)}
    ids = rng.permutation(np.arange(1, 255))[:classes].tolist()
    mask = refine_mask(image, maps, maps if with_affinity else {}, ids, RefineConfig())
    assert mask.labels.shape == mask.instances.shape == size
    assert mask.labels.dtype == mask.instances.dtype == np.uint8
    assert set(np.unique(mask.labels)) <= {0, 255, *ids}
    assert np.array_equal(mask.labels == 0, mask.instances == 0)
    assert np.array_equal(mask.labels == 255, mask.instances == 255)
    numbers = np.unique(mask.instances[(mask.instances > 0) & (mask.instances < 255)])
    assert numbers.tolist() == list(range(1, sum(mask.components) + 1))


@pytest.mark.parametrize(
    ("cross", "message"),
    [
        ({}, "no cross-attention map"),
        ({(16, 16): np.zeros((2, 16, 16), np.float16)}, "has 2 classes, the sample has 1"),
        ({(16, 16): np.full((1, 16, 16), np.nan, np.float16)}, "not numbers"),
    ],
)
def test_unusable_evidence_is_named(cross, message):
    with pytest.raises(ValueError, match=message):
        refine_mask(np.zeros((128, 128, 3), np.uint8), cross, {}, (1,), RefineConfig())
