"""The dense CRF of a large picture on one core: solved on every n-th pixel, then at full size where it matters.

The appearance kernel is wide and hears thousands of pixels; one in four of them says the same. What a mask needs at
full size is its outline. So only pixels near one, and pixels of another colour than the sampled one beside them, get a
place of their own in the lattice and decide anew on what the sampled ones tell them.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.refine.crf_cpu import (
    CERTAIN,
    CpuFilters,
    appearance_features,
    mean_field,
    normalisation,
    posteriors,
    with_first,
)
from dsfactory.refine.kernels import Kernels, gaussian_size
from dsfactory.refine.lattice_cpu import Float, Ints

COARSE_SIDE = 256
"""Pixels are left out only as long as the longer side keeps so many."""

OTHER_COLOUR = 2.0
"""Difference to the sampled pixel beside it from which a pixel is looked at, in widths of the appearance kernel."""

_FULL_UPDATES = 2
"""Mean-field updates at full size; the second hears what the first has changed nearby."""


def sampling_step(height: int, width: int) -> int:
    """Every how many pixels a picture is sampled; 1 for small ones, of which every pixel is needed."""
    return max(1, max(height, width) // COARSE_SIDE)


def coarse_mean_field(image: NDArray[np.uint8], unary: Float, kernels: Kernels, iterations: int, step: int) -> Float:
    """What :func:`~dsfactory.refine.crf_cpu.mean_field` finds, up to a few pixels along the outlines.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        unary: float32 energies of shape ``(labels, height, width)``.
        kernels: widths in pixels of the image, and weights.
        iterations: mean-field updates, 1 or more.
        step: every how many pixels the image is sampled, in both directions; 2 or more.

    Returns:
        float32 posterior of the same shape as ``unary``.
    """
    labels, height, width = unary.shape
    sampled = np.ascontiguousarray(image[::step, ::step])
    filters = CpuFilters(sampled, kernels.scaled(1 / step))
    coarse = mean_field(np.ascontiguousarray(unary[:, ::step, ::step]).reshape(labels, -1), filters, iterations)
    looked_at = _enlarge(_undecided(coarse, filters.shape), step, (height, width)) > 0
    looked_at |= _differs(image, _enlarge(sampled, step, (height, width)), OTHER_COLOUR * kernels.bilateral_srgb)
    at = np.flatnonzero(looked_at)

    far, far_total = _appearance(image, coarse, filters, kernels, at)
    near = _Smoothness((height, width), kernels, at)
    energies = unary.reshape(labels, -1).take(at, axis=1)
    posterior = np.stack([_enlarge(plane.reshape(filters.shape), step, (height, width)) for plane in coarse])
    for _ in range(_FULL_UPDATES):
        messages = far + np.stack([near.read(plane) for plane in posterior[1:]])
        found = posteriors(with_first(messages, far_total + near.total) - energies)
        posterior.reshape(labels, -1)[:, at] = found
    return posterior


def _enlarge(plane: NDArray, step: int, size: tuple[int, int]) -> NDArray:  # type: ignore[type-arg]  # of any dtype
    """Every pixel ``step`` times in both directions, cut to ``(height, width)``."""
    whole = plane.shape[1] * step, plane.shape[0] * step
    enlarged = np.asarray(cv2.resize(plane, whole, interpolation=cv2.INTER_NEAREST))
    return np.ascontiguousarray(enlarged[: size[0], : size[1]])


def _undecided(posterior: Float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """1 where not all of a pixel's neighbours and itself are certain of one label, else 0."""
    label = posterior.argmax(axis=0) + 1
    label[posterior.max(axis=0) < CERTAIN] = 0
    winners = label.reshape(size).astype(np.float32)  # float32, of which there may be any number of labels
    neighbours = np.ones((3, 3), np.uint8)
    lowest, highest = cv2.erode(winners, neighbours), cv2.dilate(winners, neighbours)
    return np.asarray((lowest != highest) | (lowest == 0), np.uint8)


def _differs(image: NDArray[np.uint8], other: NDArray[np.uint8], by: float) -> NDArray[np.bool_]:
    """Where two RGB images differ by more in some channel."""
    red, green, blue = cv2.split(cv2.absdiff(image, other))
    return np.asarray(cv2.max(cv2.max(red, green), blue) > by)


def _appearance(
    image: NDArray[np.uint8], posterior: Float, filters: CpuFilters, kernels: Kernels, at: Ints
) -> tuple[Float, Float]:
    """What some pixels hear from the sampled ones of similar colour.

    Returns:
        float32 messages of all labels but the first, ``(labels - 1, pixels)``, and of all together, ``(pixels,)``.
    """
    rows, columns = np.divmod(at, image.shape[1])
    colours = image.reshape(-1, 3).take(at, axis=0)
    places = filters.lattice.locate(appearance_features(columns, rows, colours, kernels))
    ones = np.ones_like(posterior[:1])
    spoken = np.concatenate([ones, ones * filters.bilateral_norm, posterior[1:] * filters.bilateral_norm])
    lattice = filters.lattice
    heard = lattice.slice(lattice.blur(lattice.splat(spoken)), places)
    heard[1:] *= normalisation(heard[0], kernels.bilateral_compat)
    return heard[2:], heard[1]


class _Smoothness:
    """What some pixels hear from those around them.

    Attributes:
        total: float32 ``(pixels,)``, from all labels together.
    """

    def __init__(self, size: tuple[int, int], kernels: Kernels, at: Ints) -> None:
        self._sigma = kernels.gaussian_sxy
        self._width = gaussian_size(self._sigma)
        # A blurred plane of ones is a product of a part for its rows and one for its columns, and so is its norm.
        down, across = (normalisation(self._blur(np.ones((1, length), np.float32), 1), 1.0) for length in size)
        rows, columns = np.divmod(at, size[1])
        self._at = at
        self._spoken = down.T * across
        self._heard = np.float32(kernels.gaussian_compat) * self._spoken.ravel().take(at)
        ones_down, ones_across = self._blur(down, 1)[0], self._blur(across, 1)[0]
        self.total = self._heard * ones_down.take(rows) * ones_across.take(columns)

    def read(self, plane: Float) -> Float:
        """The message of one label with these probabilities, ``(height, width)``, to the pixels."""
        spoken = self._blur(plane * self._spoken, self._width)
        return np.asarray(spoken.ravel().take(self._at) * self._heard)

    def _blur(self, plane: Float, height: int) -> Float:
        size = self._width, height
        return np.asarray(cv2.GaussianBlur(plane, size, self._sigma, borderType=cv2.BORDER_CONSTANT))
