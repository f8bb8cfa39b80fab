import numpy as np
import pytest

from dsfactory.stages.splice import augment
from dsfactory.stages.splice.scene import Scene
from tests.stages.splice.runs import shapes
from tests.stages.splice.test_mosaic import agrees


@pytest.mark.parametrize("seed", range(10))
def test_perspective_moves_image_and_labels_alike(seed):
    scene = shapes(seed, 1, 128, objects=2, void=False)
    seen = augment.perspective(scene, np.random.default_rng(seed))
    assert agrees(seen.image, seen.mask, tolerance=110) > 0.985
    assert np.array_equal(seen.mask > 0, seen.instances > 0)
    assert set(np.unique(seen.instances)) <= set(np.unique(scene.instances))
    assert np.mean(seen.mask != scene.mask) > 0.01


def test_perspective_brings_nothing_in_from_outside():
    white = Scene(np.full((64, 96, 3), 255, np.uint8), np.full((64, 96), 1, np.uint8), np.ones((64, 96), np.uint16))
    for seed in range(20):
        seen = augment.perspective(white, np.random.default_rng(seed))
        assert seen.image.min() == 255
        assert seen.mask.min() == 1


@pytest.mark.parametrize("seed", range(10))
def test_occluding_block_carries_its_own_labels(seed):
    scene, other = shapes(1, 1, 96, void=False), shapes(2, 2, 64, void=False)
    before = scene.image.copy(), scene.mask.copy(), scene.instances.copy()
    covered = augment.occlude(scene, other, np.random.default_rng(seed))
    assert agrees(covered.image, covered.mask, tolerance=100) > 0.99
    share = np.mean(np.any(covered.image != scene.image, axis=2) | (covered.mask != scene.mask))
    assert share <= augment.BLOCK_AREAS[1] * 1.1
    assert np.array_equal(covered.mask > 0, covered.instances > 0)
    ones, twos = (set(np.unique(covered.instances[covered.mask == number])) for number in (1, 2))
    assert ones.isdisjoint(twos)
    # The scenes themselves are drawn from again.
    assert all(map(np.array_equal, before, (scene.image, scene.mask, scene.instances)))


def test_blur_softens_the_image_and_leaves_the_labels():
    scene = shapes(3, 1, 256)
    soft = augment.blur(scene, np.random.default_rng(0))
    steepest = [np.abs(np.diff(image.astype(int), axis=1)).max() for image in (scene.image, soft.image)]
    assert steepest[1] < 0.6 * steepest[0]
    assert soft.mask is scene.mask
    assert abs(soft.image.mean() - scene.image.mean()) < 1
