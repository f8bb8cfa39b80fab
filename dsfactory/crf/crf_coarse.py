"""The dense CRF of a large picture on one core: solved on its thumbnail, then at full size where it matters.

The appearance kernel is wide and hears thousands of pixels; one in seven of them says the same. What a mask needs at
full size is its outline. So only pixels near one, and pixels of another colour than the thumbnail's beside them, get a
place of their own in the lattice and decide anew on what the thumbnail's pixels tell them.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.crf.crf_cpu import (
    CERTAIN,
    appearance_features,
    energies,
    mean_field,
    normalisation,
    softmax,
    winners,
    with_first,
)
from dsfactory.crf.kernels import Kernels, gaussian_size
from dsfactory.crf.lattice_cpu import Float, Ints
from dsfactory.crf.thumbnail import Thumbnail

OTHER_COLOUR = 2.0
"""Difference to the thumbnail's pixel beside it from which a pixel is looked at, in widths of the appearance kernel."""

_FULL_UPDATES = 2
"""Mean-field updates at full size; the second hears what the first has changed nearby."""


def coarse_mean_field(
    image: NDArray[np.uint8], probabilities: Float, kernels: Kernels, iterations: int, thumbnail: Thumbnail
) -> Float:
    """What :func:`~dsfactory.crf.crf_cpu.mean_field` finds, up to some pixels along the outlines.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        probabilities: float32, shape ``(labels, height, width)``.
        kernels: widths in pixels of the image, and weights.
        iterations: mean-field updates, 1 or more.
        thumbnail: of the image.

    Returns:
        float32 posterior of the same shape as ``probabilities``.
    """
    labels, height, width = probabilities.shape
    filters = thumbnail.filters
    coarse = mean_field(energies(thumbnail.pick(probabilities)).reshape(labels, -1), filters, iterations)
    looked_at = thumbnail.enlarge(_undecided(coarse, filters.shape)) > 0
    looked_at |= _differs(image, thumbnail.enlarge(thumbnail.image), OTHER_COLOUR * kernels.bilateral_srgb)
    posterior = np.stack([thumbnail.enlarge(plane.reshape(filters.shape)) for plane in coarse])
    at = np.flatnonzero(looked_at)
    if not len(at):
        return posterior
    far, far_total = _appearance(image, coarse, thumbnail, at)
    near = _Smoothness((height, width), kernels, at)
    unary = energies(probabilities.reshape(labels, -1).take(at, axis=1))
    for _ in range(_FULL_UPDATES):
        messages = far + np.stack([near.read(plane) for plane in posterior[1:]])
        found = softmax(with_first(messages, far_total + near.total) - unary)
        posterior.reshape(labels, -1)[:, at] = found
    return posterior


def _undecided(posterior: Float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """1 where not all of a pixel's neighbours and itself are certain of one label, else 0."""
    plane = winners(posterior).astype(np.float32) + 1  # float32: there may be 256 labels
    plane[posterior.max(axis=0) < CERTAIN] = 0
    plane = plane.reshape(size)
    neighbours = np.ones((3, 3), np.uint8)
    lowest, highest = cv2.erode(plane, neighbours), cv2.dilate(plane, neighbours)
    return np.asarray((lowest != highest) | (lowest == 0), np.uint8)


def _differs(image: NDArray[np.uint8], other: NDArray[np.uint8], by: float) -> NDArray[np.bool_]:
    """Where two RGB images differ by more in some channel."""
    red, green, blue = cv2.split(cv2.absdiff(image, other))
    return np.asarray(cv2.max(cv2.max(red, green), blue) > by)


def _appearance(image: NDArray[np.uint8], posterior: Float, thumbnail: Thumbnail, at: Ints) -> tuple[Float, Float]:
    """What some pixels hear from those of the thumbnail of similar colour.

    Returns:
        float32 messages of all labels but the first, ``(labels - 1, pixels)``, and of all together, ``(pixels,)``.
    """
    rows, columns = np.divmod(at, image.shape[1])
    colours = image.reshape(-1, 3).take(at, axis=0)
    across, down = ((part + 0.5) * thumbnail.factor - 0.5 for part in (columns, rows))
    norm = thumbnail.filters.bilateral_norm
    spoken = np.concatenate([np.ones_like(norm), norm, posterior[1:].T * norm], axis=1)
    lattice = thumbnail.filters.lattice
    found = lattice.locate(appearance_features(across, down, colours, thumbnail.kernels))
    heard = lattice.slice(lattice.blur(lattice.splat(spoken)), found).T
    heard[1:] *= normalisation(heard[0], thumbnail.kernels.bilateral_compat)
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
