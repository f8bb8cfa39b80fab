import numpy as np
import pytest
import torch

from dsfactory.crf import crf_cpu
from dsfactory.crf.crf import (
    ImageFilters,
    binary_mean_field,
    dense_crf,
    dense_crf_batch,
    mean_field,
)
from dsfactory.crf.crf_cpu import softmax, winners
from dsfactory.crf.kernels import Kernels
from tests.stages.refine.scenes import draw_scene, iou


def blurred_probabilities(truth, labels, seed=0):
    """Soft, noisy and coarse: one value per 8×8 block, upsampled without smoothing."""
    rng = np.random.default_rng(seed)
    height, width = truth.shape
    blocks = np.stack([(truth == k).reshape(height // 8, 8, width // 8, 8).mean(axis=(1, 3)) for k in range(labels)])
    logits = 3 * blocks + rng.normal(0, 0.5, blocks.shape)
    return softmax(np.kron(logits, np.ones((8, 8))).astype(np.float32))


@pytest.mark.parametrize(
    ("size", "objects", "labels"),
    [((128, 128), 1, 2), ((96, 160), 2, 3), ((160, 96), 1, 21), ((256, 256), 3, 4), ((128, 128), 2, 21)],
)
def test_backends_agree(size, objects, labels):
    pytest.importorskip("pydensecrf")
    for seed in range(3):
        scene = draw_scene(seed, objects, size)
        probabilities = blurred_probabilities(scene.truth, labels, seed)
        kernels = Kernels().scaled(np.sqrt(size[0] * size[1]) / 512)
        ours = dense_crf(scene.image, probabilities, kernels, backend="lattice")
        theirs = dense_crf(scene.image, probabilities, kernels, backend="pydensecrf")
        mine, other = ours.argmax(axis=0), theirs.argmax(axis=0)
        shared = [iou(mine == k, other == k) for k in range(labels) if (other == k).any()]
        assert np.mean(shared) >= 0.99
        assert np.abs(ours - theirs).mean() < 0.005


def test_appearance_kernel_alone_agrees_to_rounding():
    pytest.importorskip("pydensecrf")
    scene = draw_scene(3, 2)
    probabilities = blurred_probabilities(scene.truth, 3)
    kernels = Kernels(gaussian_compat=0.0, bilateral_sxy=20.0)
    ours = dense_crf(scene.image, probabilities, kernels, iterations=1, backend="lattice")
    theirs = dense_crf(scene.image, probabilities, kernels, iterations=1, backend="pydensecrf")
    assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("size", [(128, 128), (96, 152)])
def test_mask_snaps_to_edges(size):
    scene = draw_scene(1, 1, size)
    probabilities = blurred_probabilities(scene.truth, 2)
    refined = dense_crf(scene.image, probabilities, Kernels().scaled(0.25))
    before, after = (iou(p.argmax(axis=0) == 1, scene.truth == 1) for p in (probabilities, refined))
    assert before < 0.95
    assert after > 0.98


def test_is_a_distribution_in_float32():
    scene = draw_scene(0, 2)
    refined = dense_crf(scene.image, blurred_probabilities(scene.truth, 5), Kernels().scaled(0.25))
    assert refined.dtype == np.float32
    assert refined.sum(axis=0) == pytest.approx(1.0, abs=1e-5)
    assert (refined >= 0).all()


@pytest.mark.parametrize("labels", [1, 2, 5, 255])
def test_winners_are_those_of_argmax(labels):
    probabilities = np.random.default_rng(labels).integers(0, 4, (labels, 20, 30)).astype(np.float32)
    assert np.array_equal(winners(probabilities), probabilities.argmax(axis=0))


def test_no_iteration_keeps_probabilities():
    scene = draw_scene(0)
    probabilities = blurred_probabilities(scene.truth, 3)
    assert dense_crf(scene.image, probabilities, Kernels(), iterations=0) == pytest.approx(probabilities, abs=1e-4)


def test_two_labels_are_the_binary_case():
    scene = draw_scene(2)
    logits = np.log(blurred_probabilities(scene.truth, 2))
    filters = ImageFilters(torch.from_numpy(scene.image)[None], Kernels().scaled(0.25))
    unary = torch.from_numpy(-logits).permute(1, 2, 0)[None]
    both = mean_field(unary, filters, 5)[0, ..., 1]
    binary = torch.sigmoid(binary_mean_field(unary[..., :1] - unary[..., 1:], filters, 5))[0, ..., 0]
    assert binary.numpy() == pytest.approx(both.numpy(), abs=1e-4)


def test_problems_of_a_batch_do_not_touch_each_other():
    scene = draw_scene(2)
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 2, (1, *scene.truth.shape, 3)).astype(np.float32))
    filters = ImageFilters(torch.from_numpy(scene.image)[None], Kernels().scaled(0.25))
    together = binary_mean_field(logits, filters, 3)
    alone = binary_mean_field(logits[..., 1:2].contiguous(), filters, 3)
    assert torch.allclose(alone[..., 0], together[..., 1], atol=1e-4)


def test_images_of_a_batch_do_not_touch_each_other():
    scenes = [draw_scene(seed) for seed in range(3)]
    probabilities = np.stack([blurred_probabilities(scene.truth, 2, seed) for seed, scene in enumerate(scenes)])
    images = np.stack([scene.image for scene in scenes])
    kernels = Kernels().scaled(0.25)
    together = dense_crf_batch(torch.from_numpy(images), torch.from_numpy(probabilities), kernels)
    for image, given, batched in zip(images, probabilities, together, strict=True):
        alone = dense_crf_batch(torch.from_numpy(image)[None], torch.from_numpy(given)[None], kernels)[0]
        assert torch.allclose(alone, batched, atol=1e-3)


@pytest.mark.parametrize(("objects", "labels"), [(1, 2), (2, 3), (3, 4), (3, 21)])
def test_leaving_certain_pixels_alone_changes_nothing_to_speak_of(objects, labels):
    """The updates that look only where something is undecided, beside those that look everywhere."""
    for seed in range(3):
        scene = draw_scene(seed, objects, (160, 192))
        given = blurred_probabilities(scene.truth, labels, seed)
        kernels = Kernels().scaled(0.35)
        quick = dense_crf(scene.image, given, kernels)
        images, probabilities = torch.from_numpy(scene.image)[None], torch.from_numpy(given)[None]
        whole = dense_crf_batch(images, probabilities, kernels)[0].numpy()
        mine, other = quick.argmax(axis=0), whole.argmax(axis=0)
        shared = [iou(mine == k, other == k) for k in range(labels) if (other == k).any()]
        assert np.mean(shared) >= 0.999
        assert np.mean(quick.max(axis=0) < 0.95) == pytest.approx(np.mean(whole.max(axis=0) < 0.95), abs=1e-3)


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_few_updates_are_the_same_as_those_that_look_everywhere(iterations):
    scene = draw_scene(5, 2, (64, 96))
    given = blurred_probabilities(scene.truth, 3)
    kernels = Kernels().scaled(0.15)
    quick = dense_crf(scene.image, given, kernels, iterations)
    images, probabilities = torch.from_numpy(scene.image)[None], torch.from_numpy(given)[None]
    assert quick == pytest.approx(dense_crf_batch(images, probabilities, kernels, iterations)[0].numpy(), abs=0.01)


def test_problems_on_one_image_are_solved_as_if_alone():
    scene = draw_scene(2, 1, (64, 64))
    logits = np.random.default_rng(0).normal(0, 2, (64 * 64, 3)).astype(np.float32)
    filters = crf_cpu.CpuFilters(scene.image, Kernels().scaled(0.125))
    together = crf_cpu.binary_mean_field(logits, filters, 4)
    for number in range(3):
        alone = crf_cpu.binary_mean_field(logits[:, number : number + 1], filters, 4)[:, 0]
        # A pixel that is left alone in one of them may be looked at again for another's sake.
        gap = np.abs(np.tanh(together[:, number] / 2) - np.tanh(alone / 2))
        assert gap.mean() < 1e-4 and gap.max() < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("labels", [2, 3, 21])
def test_cuda_agrees_with_the_cpu(labels):
    scenes = [draw_scene(seed, 2) for seed in range(3)]
    probabilities = np.stack([blurred_probabilities(scene.truth, labels, 0) for scene in scenes])
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    kernels = Kernels().scaled(0.25)
    here = dense_crf_batch(images, torch.from_numpy(probabilities), kernels)
    there = dense_crf_batch(images.cuda(), torch.from_numpy(probabilities).cuda(), kernels).cpu()
    assert (here.argmax(1) == there.argmax(1)).float().mean() > 0.999


def test_any_number_of_labels():
    """OpenCV blurs at most 128 channels at once."""
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    given = softmax(np.random.default_rng(1).normal(0, 2, (140, 12, 16)).astype(np.float32))
    kernels = Kernels().scaled(0.05)
    ours = dense_crf(image, given, kernels, 3)
    whole = dense_crf_batch(torch.from_numpy(image)[None], torch.from_numpy(given)[None], kernels, 3)[0].numpy()
    assert ours.sum(axis=0) == pytest.approx(1.0, abs=1e-5)
    assert ours == pytest.approx(whole, abs=0.01)


@pytest.mark.parametrize("channels", [1, 128, 129, 254])
def test_channels_are_blurred_as_if_alone(channels):
    planes = np.random.default_rng(0).random((9, 11, channels), np.float32)
    blurred = crf_cpu.gaussian_blur(planes, 5, 0.5)
    assert blurred.shape == planes.shape
    for number in {0, channels // 2, channels - 1}:
        alone = crf_cpu.gaussian_blur(np.ascontiguousarray(planes[..., number : number + 1]), 5, 0.5)[..., 0]
        assert blurred[..., number] == pytest.approx(alone, abs=1e-6)


def test_certain_labels_have_finite_energy():
    scene = draw_scene(0)
    hard = np.stack([scene.truth == 0, scene.truth == 1]).astype(np.float32)
    refined = dense_crf(scene.image, hard, Kernels().scaled(0.25))
    assert np.isfinite(refined).all()
    assert iou(refined.argmax(axis=0) == 1, scene.truth == 1) > 0.98


def test_sizes_must_fit():
    with pytest.raises(ValueError, match="does not fit"):
        dense_crf(np.zeros((8, 9, 3), np.uint8), np.zeros((2, 9, 8), np.float32), Kernels())


@pytest.mark.parametrize(("size", "labels"), [((128, 128), 2), ((96, 160), 4), ((512, 384), 3)])
def test_torch_gives_the_labels_of_the_cpu(size, labels):
    """Of a large picture the CPU looks at some pixels only, so outlines may differ by a pixel here and there."""
    scene = draw_scene(2, 2, size)
    probabilities = blurred_probabilities(scene.truth, labels, 2)
    kernels = Kernels().scaled(np.sqrt(size[0] * size[1]) / 512)
    ours = winners(dense_crf(scene.image, probabilities, kernels))
    theirs = winners(dense_crf(scene.image, probabilities, kernels, backend="torch"))
    assert (ours == theirs).mean() > 0.998
