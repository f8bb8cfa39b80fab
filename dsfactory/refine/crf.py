"""Fully connected CRF: masks that follow the image's edges.

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011:
mean-field inference with a smoothness kernel (position) and an appearance kernel (position and colour), Potts
compatibility and symmetric kernel normalisation.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.refine.lattice import PermutohedralLattice

Float = NDArray[np.float32]
Backend = Literal["lattice", "pydensecrf"]

_MIN_PROBABILITY = 1e-5


class Kernels(NamedTuple):
    """Widths and weights of the two kernels; widths in pixels of the image at hand and in grey levels."""

    gaussian_sxy: float = 3.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 80.0
    bilateral_srgb: float = 13.0
    bilateral_compat: float = 10.0

    def scaled(self, factor: float) -> "Kernels":
        """The same kernels for an image whose sides are ``factor`` times as long."""
        return self._replace(gaussian_sxy=self.gaussian_sxy * factor, bilateral_sxy=self.bilateral_sxy * factor)


def dense_crf(
    image: NDArray[np.uint8],
    probabilities: Float,
    kernels: Kernels,
    iterations: int = 10,
    backend: Backend = "lattice",
) -> Float:
    """Refine per-pixel label probabilities.

    Args:
        image: uint8 RGB array of shape ``(height, width, 3)``.
        probabilities: float32 array of shape ``(labels, height, width)`` that sums to 1 over labels. The unary
            energy is ``-log p``. Hard labels make poor unaries: with two labels, certainty 0.5 says nothing at all,
            and 0.95 weighs as much as 0.5 does among 21 labels.
        kernels: kernel widths in pixels of this image, and weights.
        iterations: mean-field updates.
        backend: ``"lattice"`` (numpy, always there) or ``"pydensecrf"`` (C++, where it is installed). They agree but
            for rounding and the small kernel, which is exact here and a lattice there.

    Returns:
        float32 posterior of the same shape.

    Raises:
        ValueError: the shapes do not fit.
        ImportError: pydensecrf was asked for and is not installed.
    """
    if image.dtype != np.uint8 or image.shape != (*probabilities.shape[1:], 3):
        raise ValueError(f"image {image.dtype} {image.shape} does not fit probabilities {probabilities.shape}")
    unary = -np.log(np.clip(probabilities, _MIN_PROBABILITY, 1.0))
    if backend == "pydensecrf":
        return _pydensecrf(image, unary, kernels, iterations)
    return mean_field(unary, image_filters(image, kernels), iterations)


Filter = Callable[[Float], Float]
"""A symmetrically normalised, weighted kernel: ``(labels, height, width)`` to the same."""


def image_filters(image: NDArray[np.uint8], kernels: Kernels) -> list[Filter]:
    """The two pairwise terms of an image, ready to be applied in every iteration and to any unary."""
    height, width = image.shape[:2]

    def smooth(values: Float) -> Float:
        return np.stack([_gaussian(value, kernels.gaussian_sxy) for value in values])

    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(kernels.bilateral_sxy)
    colour = np.moveaxis(image, 2, 0) / np.float32(kernels.bilateral_srgb)
    lattice = PermutohedralLattice(np.concatenate([[x, y], colour]).reshape(5, -1).astype(np.float32))

    def appearance(values: Float) -> Float:
        return lattice.filter(values.reshape(len(values), -1)).reshape(values.shape)

    shape = (1, height, width)
    return [
        _normalised(smooth, kernels.gaussian_compat, shape),
        _normalised(appearance, kernels.bilateral_compat, shape),
    ]


def mean_field(unary: Float, filters: list[Filter], iterations: int) -> Float:
    """Mean-field inference (Krähenbühl and Koltun 2011, algorithm 1) with Potts compatibility.

    Args:
        unary: float32 energies of shape ``(labels, height, width)``.
        filters: pairwise terms, each a normalised kernel times its weight.
        iterations: number of updates.

    Returns:
        float32 posterior of the same shape.
    """
    posterior = softmax(-unary)
    # Posteriors sum to 1 and filters are linear, so the first label's message follows from the others'.
    total = [kernel(np.ones((1, *unary.shape[1:]), dtype=np.float32)) for kernel in filters]
    for _ in range(iterations):
        energy = -unary
        for kernel, everything in zip(filters, total, strict=True):
            message = kernel(posterior[1:])
            energy[1:] += message
            energy[0] += everything[0] - message.sum(axis=0)
        posterior = softmax(energy)
    return posterior


def binary_mean_field(logits: Float, filters: list[Filter], iterations: int) -> Float:
    """Mean-field inference of several two-label problems on one image at once.

    Args:
        logits: float32 log odds of the foreground, shape ``(problems, height, width)``.
        filters: pairwise terms of the image, shared by all problems.
        iterations: number of updates.

    Returns:
        float32 probability of the foreground, same shape.
    """
    total = [kernel(np.ones((1, *logits.shape[1:]), dtype=np.float32)) for kernel in filters]
    foreground = _sigmoid(logits)
    for _ in range(iterations):
        energy = logits.copy()
        for kernel, everything in zip(filters, total, strict=True):
            energy += 2.0 * kernel(foreground) - everything
        foreground = _sigmoid(energy)
    return foreground


def _sigmoid(logits: Float) -> Float:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)


def _normalised(kernel: Filter, weight: float, shape: tuple[int, int, int]) -> Filter:
    norm = 1.0 / np.sqrt(kernel(np.ones(shape, dtype=np.float32)) + 1e-20)
    scale = np.float32(weight)
    return lambda values: scale * norm * kernel(norm * values)


def _gaussian(value: Float, sigma: float) -> Float:
    return np.asarray(cv2.GaussianBlur(value, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), dtype=np.float32)


def softmax(energy: Float) -> Float:
    """Probabilities over the first axis; minus infinity is allowed, but not for all labels of a pixel."""
    exponential = np.exp(energy - energy.max(axis=0))
    return np.asarray(exponential / exponential.sum(axis=0), dtype=np.float32)


def _pydensecrf(image: NDArray[np.uint8], unary: Float, kernels: Kernels, iterations: int) -> Float:
    from pydensecrf import densecrf  # optional, and its import needs numpy's C API to match

    height, width = image.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, len(unary))
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(len(unary), -1), dtype=np.float32))
    crf.addPairwiseGaussian(sxy=kernels.gaussian_sxy, compat=kernels.gaussian_compat)
    crf.addPairwiseBilateral(
        sxy=kernels.bilateral_sxy,
        srgb=kernels.bilateral_srgb,
        rgbim=np.ascontiguousarray(image),
        compat=kernels.bilateral_compat,
    )
    return np.array(crf.inference(iterations), dtype=np.float32).reshape(unary.shape)
