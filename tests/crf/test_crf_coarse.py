"""The dense CRF of large pictures beside the one that asks every pixel."""

import numpy as np
import pytest

from dsfactory.crf.crf import dense_crf
from dsfactory.crf.crf_coarse import coarse_mean_field
from dsfactory.crf.crf_cpu import CpuFilters, mean_field, softmax
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.lattice_cpu import CpuLattice
from dsfactory.crf.thumbnail import Thumbnail
from tests.stages.refine.scenes import draw_scene, iou


def problem(seed, labels, size):
    """An image, and energies of labels as coarse and uncertain as attention."""
    scene = draw_scene(seed, min(3, labels - 1), size)
    rng = np.random.default_rng(seed)
    shares = np.stack([scene.truth == k for k in range(labels)]).astype(np.float32)
    logits = (
        3 * shares
        + np.kron(rng.normal(0, 0.7, (labels, size[0] // 8 + 1, size[1] // 8 + 1)), np.ones((8, 8)))[
            :, : size[0], : size[1]
        ]
    )
    return scene, softmax(logits.astype(np.float32))


def scaled(size):
    return Kernels().scaled(np.sqrt(size[0] * size[1]) / 512)


def every_pixel(image, probabilities, kernels, iterations=10):
    unary = -np.log(probabilities)
    return mean_field(unary.reshape(len(unary), -1), CpuFilters(image, kernels), iterations).reshape(unary.shape)


def shared(first, second):
    mine, other = first.argmax(axis=0), second.argmax(axis=0)
    return [iou(mine == k, other == k) for k in range(len(first)) if (other == k).any()]


@pytest.mark.parametrize(
    ("size", "labels"), [((512, 512), 2), ((512, 512), 5), ((517, 771), 3), ((801, 301), 2)], ids=str
)
def test_agrees_with_asking_every_pixel(size, labels):
    scene, probabilities = problem(labels, labels, size)
    found = dense_crf(scene.image, probabilities, scaled(size))
    whole = every_pixel(scene.image, probabilities, scaled(size))
    assert np.mean(shared(found, whole)) >= 0.995
    assert np.abs(found - whole).mean() < 0.002
    assert np.mean(found.max(axis=0) < 0.95) == pytest.approx(np.mean(whole.max(axis=0) < 0.95), abs=2e-3)
    assert found.dtype == np.float32
    assert found.sum(axis=0) == pytest.approx(1.0, abs=1e-5)


def test_agrees_with_pydensecrf():
    pytest.importorskip("pydensecrf")
    for seed, labels in ((0, 2), (1, 4)):
        scene, probabilities = problem(seed, labels, (512, 512))
        theirs = dense_crf(scene.image, probabilities, Kernels(), backend="pydensecrf")
        assert np.mean(shared(dense_crf(scene.image, probabilities, Kernels()), theirs)) >= 0.99


@pytest.mark.parametrize("place", [0, 1, 2])
def test_lines_between_the_pixels_of_the_thumbnail_are_seen(place):
    """Lines one pixel wide."""
    image = np.full((512, 512, 3), 200, np.uint8)
    image += np.random.default_rng(0).integers(0, 8, image.shape, dtype=np.uint8)
    line = np.zeros((512, 512), bool)
    line[100 + place : 420 : 20] = True
    image[line] = (20, 60, 30)
    logits = np.where(line, 3.0, -3.0).astype(np.float32)
    probabilities = softmax(np.stack([np.zeros_like(logits), logits]))
    kernels = Kernels(gaussian_compat=0.5)
    found, whole = (crf(image, probabilities, kernels).argmax(axis=0) == 1 for crf in (dense_crf, every_pixel))
    assert iou(whole, line) > 0.9
    assert iou(found, whole) > 0.99


def test_a_picture_without_outlines_is_certain():
    """Nothing to look at closely: one colour, one label."""
    image = np.full((512, 640, 3), 90, np.uint8)
    probabilities = np.stack([np.full((512, 640), 0.999, np.float32), np.full((512, 640), 0.001, np.float32)])
    found = dense_crf(image, probabilities, Kernels())
    assert found.shape == probabilities.shape
    assert (found[0] > 0.999).all()


def test_small_pictures_are_taken_whole():
    scene, probabilities = problem(0, 2, (160, 192))
    thumbnail = Thumbnail(scene.image, scaled((160, 192)))
    assert thumbnail.factor == 1.0
    assert np.array_equal(thumbnail.image, scene.image)
    found = dense_crf(scene.image, probabilities, scaled((160, 192)), thumbnail=thumbnail)
    assert np.array_equal(found, every_pixel(scene.image, probabilities, scaled((160, 192))))


@pytest.mark.parametrize(("height", "width"), [(512, 512), (517, 771), (3000, 200)])
def test_thumbnail_is_of_pixels_in_their_places(height, width):
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None] * 255 // height
    image[..., 1] = np.arange(width) * 255 // width
    thumbnail = Thumbnail(image, Kernels())
    assert max(thumbnail.image.shape) == 192
    enlarged = thumbnail.enlarge(thumbnail.image).astype(int)
    assert enlarged.shape == image.shape
    assert np.abs(enlarged - image).max() <= 255 / 2 / min(thumbnail.image.shape[:2]) + 2  # half an interval
    assert np.array_equal(thumbnail.pick(image.transpose(2, 0, 1))[0], thumbnail.image[..., 0])


@pytest.mark.parametrize("iterations", [1, 3])
def test_few_updates(iterations):
    scene, probabilities = problem(4, 2, (512, 512))
    found = coarse_mean_field(scene.image, probabilities, Kernels(), iterations, Thumbnail(scene.image, Kernels()))
    assert np.mean(shared(found, every_pixel(scene.image, probabilities, Kernels(), iterations + 2))) > 0.98


def test_other_points_are_found_where_they_lie():
    """Points that a lattice holds read what they read as its own; far from all of them there is nothing to read."""
    rng = np.random.default_rng(6)
    features = rng.normal(0, 2, (5, 600)).astype(np.float32)
    lattice = CpuLattice(features)
    grid = lattice.blur(lattice.splat(rng.random((600, 2)).astype(np.float32)))
    some = np.flatnonzero(rng.random(600) < 0.3)
    assert lattice.slice(grid, lattice.locate(features[:, some])) == pytest.approx(
        lattice.slice(grid, lattice.rows(some)), rel=1e-5
    )
    away = features[:, :50] + np.float32(60)
    assert (lattice.slice(grid, lattice.locate(away)) == 0).all()
    assert (lattice.slice(grid, lattice.locate(-away)) == 0).all()
