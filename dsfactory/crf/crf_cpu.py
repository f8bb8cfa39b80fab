"""The dense CRF of :mod:`dsfactory.crf.crf` for one image on one core.

The same mean-field updates, made where they matter. After two or three of them most pixels are certain of their label
and stay so; from then on only the others are looked at, and only what changed at them is filtered.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.crf.kernels import Kernels, gaussian_size
from dsfactory.crf.lattice_cpu import CpuLattice, Float, Ints

_WHOLE_UPDATES = 2
"""So many first updates look at every pixel."""

_MOVED = 0.001
"""A pixel whose probabilities changed by no more in an update did not move."""

_SETTLED = 8.0
"""Log odds (to either side) beyond which a pixel is certain of its label."""

_MOST_CHANNELS = 128
"""OpenCV 5 takes no image of more."""

MIN_PROBABILITY = 1e-5

CERTAIN = 1.0 - math.exp(-_SETTLED)
"""The same as a probability: 0.9997."""


class CpuFilters:
    """The two pairwise terms of an image, for any number of channels.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        kernels: kernel widths in pixels of this image, and weights.
    """

    def __init__(self, image: NDArray[np.uint8], kernels: Kernels) -> None:
        self.shape = height, width = image.shape[0], image.shape[1]
        rows, columns = np.divmod(np.arange(height * width), width)
        self.lattice = CpuLattice(appearance_features(columns, rows, image.reshape(-1, 3), kernels))
        self._sigma = kernels.gaussian_sxy
        self.reach = gaussian_size(self._sigma) // 2
        """How far the smoothness kernel reaches, in pixels."""
        ones = np.ones((height * width, 1), np.float32)
        appearance = self.lattice.slice(self.lattice.blur(self.lattice.splat(ones)))
        # The weight of a kernel is shared out to its two sides: sqrt(w) norm K sqrt(w) norm.
        smooth = self.smooth(ones.reshape(height, width, 1)).reshape(ones.shape)
        self.gaussian_norm = normalisation(smooth, kernels.gaussian_compat)
        self.bilateral_norm = normalisation(appearance, kernels.bilateral_compat)
        """Both float32 ``(points, 1)``."""

    def smooth(self, planes: Float) -> Float:
        """Blur float32 of shape ``(height, width, channels)`` with the smoothness kernel."""
        return gaussian_blur(planes, 2 * self.reach + 1, self._sigma)


def gaussian_blur(planes: Float, width: int, sigma: float) -> Float:
    """Blur float32 of shape ``(height, width, channels)``, any number of them; outside the planes lies zero.

    Args:
        planes: what to blur.
        width: of the kernel in pixels, odd.
        sigma: of the kernel.
    """
    blurred = []
    for first in range(0, planes.shape[2], _MOST_CHANNELS):
        some = planes[..., first : first + _MOST_CHANNELS]
        found = cv2.GaussianBlur(some, (width, width), sigma, borderType=cv2.BORDER_CONSTANT)
        blurred.append(np.asarray(found, np.float32).reshape(some.shape))
    return blurred[0] if len(blurred) == 1 else np.concatenate(blurred, axis=2)


def appearance_features(
    columns: NDArray[np.number], rows: NDArray[np.number], colours: NDArray[np.uint8], kernels: Kernels
) -> Float:
    """Where pixels lie in the appearance kernel's space.

    Args:
        columns: of the pixels, ``(points,)``.
        rows: of the same pixels.
        colours: uint8 RGB, ``(points, 3)``.
        kernels: widths in the same pixels.

    Returns:
        float32 ``(5, points)``, coordinates divided by the kernel's widths.
    """
    features = np.empty((5, len(columns)), np.float32)
    features[0] = columns.astype(np.float32) / np.float32(kernels.bilateral_sxy)
    features[1] = rows.astype(np.float32) / np.float32(kernels.bilateral_sxy)
    features[2:] = colours.T / np.float32(kernels.bilateral_srgb)
    return features


class _Part:
    """Some of an image's pixels: their numbers, and what the filters need of them."""

    def __init__(self, filters: CpuFilters, at: Ints) -> None:
        self.at = at
        self.rows = filters.lattice.rows(at)
        self.gaussian_norm = filters.gaussian_norm[at]
        self.bilateral_norm = filters.bilateral_norm[at]


class _Messages:
    """What pixels tell each other, kept up to date while some of them change their minds."""

    def __init__(self, filters: CpuFilters, channels: int) -> None:
        self._filters = filters
        self._grid = np.zeros((filters.lattice.vertices, channels), np.float32)
        self._smooth = np.zeros((*filters.shape, channels), np.float32)

    def change(self, by: Float) -> None:
        """All values change, by float32 of shape ``(points, channels)``."""
        self._grid += self._filters.lattice.splat(by * self._filters.bilateral_norm)
        self._smooth += self._filters.smooth((by * self._filters.gaussian_norm).reshape(self._smooth.shape))

    def change_part(self, by: Float, part: _Part) -> None:
        """Values change at some points, by float32 of shape ``(points of the part, channels)``."""
        self._grid += self._filters.lattice.splat(by * part.bilateral_norm, part.rows)
        rows, columns = np.divmod(part.at, self._filters.shape[1])
        reach = self._filters.reach
        top, left = max(0, rows.min() - reach), max(0, columns.min() - reach)
        window = slice(top, rows.max() + reach + 1), slice(left, columns.max() + reach + 1)
        planes = np.zeros(self._smooth[window].shape, np.float32)
        planes[rows - top, columns - left] = by * part.gaussian_norm
        self._smooth[window] += self._filters.smooth(planes)

    def read(self) -> Float:
        """The weighted sum of both kernels at all points."""
        filters = self._filters
        sent = filters.lattice.slice(filters.lattice.blur(self._grid))
        sent *= filters.bilateral_norm
        sent += self._smooth.reshape(sent.shape) * filters.gaussian_norm
        return sent

    def read_part(self, part: _Part) -> Float:
        """The same at some points."""
        sent = self._filters.lattice.slice(self._filters.lattice.blur(self._grid), part.rows)
        sent *= part.bilateral_norm
        sent += self._smooth.reshape(-1, sent.shape[1]).take(part.at, axis=0) * part.gaussian_norm
        return sent


def binary_mean_field(logits: Float, filters: CpuFilters, iterations: int) -> Float:
    """Mean-field inference of several two-label problems on one image.

    Args:
        logits: float32 log odds of the foreground, shape ``(points, problems)``.
        filters: the image's pairwise terms, shared by all problems.
        iterations: number of updates, 1 or more.

    Returns:
        float32 log odds of the foreground, same shape.
    """
    # With q = (1 + s) / 2 the two labels' messages differ by the filtered s, which is tanh of half the log odds.
    messages = _Messages(filters, logits.shape[1])
    energy = logits
    side = np.zeros_like(logits)
    for _ in range(min(iterations, _WHOLE_UPDATES)):
        new = np.tanh(energy * np.float32(0.5))
        messages.change(new - side)
        side = new
        energy = messages.read()
        energy += logits
    at = np.arange(len(logits))
    for _ in range(iterations - _WHOLE_UPDATES):
        here = energy.take(at, axis=0)
        new = np.tanh(here * np.float32(0.5))
        moved = new - side.take(at, axis=0)
        keep = np.flatnonzero((np.abs(moved).max(1) > 2.0 * _MOVED) | (np.abs(here).min(1) < _SETTLED))
        if not len(keep):
            break
        at = at[keep]
        part = _Part(filters, at)
        messages.change_part(moved.take(keep, axis=0), part)
        side[at] = new.take(keep, axis=0)
        energy[at] = messages.read_part(part) + logits.take(at, axis=0)
    return energy


def mean_field(unary: Float, filters: CpuFilters, iterations: int) -> Float:
    """Mean-field inference (Krähenbühl and Koltun 2011, algorithm 1) with Potts compatibility.

    Args:
        unary: float32 energies of shape ``(labels, points)``.
        filters: the image's pairwise terms.
        iterations: number of updates, 1 or more.

    Returns:
        float32 posterior of the same shape.
    """
    if len(unary) == 2:
        side = np.tanh(binary_mean_field((unary[:1] - unary[1:]).T, filters, iterations).T * np.float32(0.5))
        return np.concatenate([0.5 - 0.5 * side, 0.5 + 0.5 * side])
    # Softmax is quicker with labels first, filters with labels last.
    # Posteriors sum to 1 and filters are linear, so the first label's message follows from the others'.
    ones = _Messages(filters, 1)
    ones.change(np.ones((unary.shape[1], 1), np.float32))
    total = ones.read()[:, 0]
    messages = _Messages(filters, len(unary) - 1)
    posterior = softmax(-unary)
    sent = np.zeros_like(unary)
    for _ in range(min(iterations, _WHOLE_UPDATES)):
        messages.change(np.ascontiguousarray((posterior[1:] - sent[1:]).T))
        sent = posterior
        posterior = softmax(with_first(messages.read().T, total) - unary)
    at = np.arange(unary.shape[1])
    for _ in range(iterations - _WHOLE_UPDATES):
        here = posterior[:, at]
        moved = here - sent[:, at]
        keep = np.flatnonzero((np.abs(moved).max(0) > _MOVED) | (here.max(0) < CERTAIN))
        if not len(keep):
            break
        at = at[keep]
        part = _Part(filters, at)
        messages.change_part(np.ascontiguousarray(moved[1:].take(keep, axis=1).T), part)
        sent[:, at] = here.take(keep, axis=1)
        posterior[:, at] = softmax(with_first(messages.read_part(part).T, total[at]) - unary[:, at])
    return posterior


def energies(probabilities: Float) -> Float:
    """The unary energies of probabilities, of any shape."""
    return np.asarray(-np.log(np.clip(probabilities, MIN_PROBABILITY, 1.0)))


def with_first(sent: Float, total: Float) -> Float:
    """Messages of all labels, given those of all but the first, and their sum."""
    return np.concatenate([(total - sent.sum(0))[None], sent])


def softmax(energy: Float) -> Float:
    """Probabilities over the first axis; minus infinity is allowed, but not for all labels of a pixel."""
    exponential = np.exp(energy - energy.max(axis=0))
    exponential /= exponential.sum(axis=0)
    return np.asarray(exponential, dtype=np.float32)


def winners(probabilities: Float) -> NDArray[np.uint8]:
    """The most probable label of each pixel, the first of equal ones.

    Args:
        probabilities: float32 of shape ``(labels, height, width)``, at most 256 labels.
    """
    found = np.zeros(probabilities.shape[1:], np.uint8)  # as argmax finds it, for few labels many times as fast
    best = probabilities[0]
    for label in range(1, len(probabilities)):
        better = probabilities[label] > best
        found[better] = label
        best = np.maximum(best, probabilities[label])
    return found


def normalisation(sums: Float, weight: float) -> Float:
    return np.asarray(np.float32(weight**0.5) / np.sqrt(sums + np.float32(1e-20)), dtype=np.float32)
