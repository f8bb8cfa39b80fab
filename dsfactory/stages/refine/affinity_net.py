"""A small network that says which neighbouring places of an image belong together.

AffinityNet: Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly Supervised
Semantic Segmentation", CVPR 2018 (arXiv 1803.10464), sections 3.2 and 3.3, with a narrow network from scratch in place
of a pretrained one: it sees one run's images only, which resemble one another.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SIDE = 128
"""Longer side in pixels at which the network sees an image."""

STRIDE = 4
"""Pixels at that size per cell of the grid on which affinities live."""

RADIUS = 5
"""Pairs of cells nearer than this are compared (section 3.2)."""

WIDTH = 48

IGNORED = 255
"""Seed of a cell of which nothing is sure."""


def half_disc(radius: int) -> tuple[tuple[int, int], ...]:
    """Offsets ``(dy, dx)`` nearer than ``radius``, one of each opposite two: the one below, or to the right."""
    reach = range(-radius + 1, radius)
    return tuple(
        (dy, dx) for dy in range(radius) for dx in reach if (dy > 0 or dx > 0) and dy * dy + dx * dx < radius * radius
    )


OFFSETS = half_disc(RADIUS)


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width in cells for an image of height and width in pixels: the longer side has ``SIDE / STRIDE``."""
    scale = SIDE / STRIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def net_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An RGB image at the network's size, ``(4 h, 4 w, 3)`` for a grid (h, w); the same where it has that already."""
    height, width = grid_of(image.shape[:2])
    small = cv2.resize(image, (width * STRIDE, height * STRIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def net_input(image: NDArray[np.uint8]) -> Tensor:
    """An RGB image as the network wants it: float32 of shape ``(3, 4 h, 4 w)``, about -1 to 1, for a grid (h, w)."""
    return torch.from_numpy(net_image(image)).permute(2, 0, 1).float() / 127.5 - 1.0


class AffinityNet(nn.Module):
    """Features of shape ``(batch, WIDTH, h, w)`` of images of shape ``(batch, 3, 4 h, 4 w)``.

    The affinity of two cells is ``exp(-d)``, d the mean absolute difference of their features (equation 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1, stride=2), nn.GroupNorm(4, 24), nn.ReLU(),
            nn.Conv2d(24, WIDTH, 3, padding=1, stride=2), nn.GroupNorm(8, WIDTH), nn.ReLU(),
        )  # fmt: skip
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation), nn.GroupNorm(8, WIDTH), nn.ReLU()
            )
            for dilation in (1, 2, 4, 1)
        )
        self.head = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        for block in self.blocks:
            features = features + block(features)
        out: Tensor = self.head(features)
        return out


def pair_distances(features: Tensor, offsets: Sequence[tuple[int, int]] = OFFSETS) -> Tensor:
    """Mean absolute difference of the features of each cell and of the one at each offset.

    Args:
        features: shape ``(batch, channels, h, w)``.
        offsets: see :func:`half_disc`.

    Returns:
        Shape ``(batch, offsets, h, w)``; infinite where the other cell lies outside the grid.
    """
    batch, _, height, width = features.shape
    rows = []
    for dy, dx in offsets:
        here, there = _overlap(height, width, dy, dx)
        row = features.new_full((batch, height, width), torch.inf)
        row[:, *here] = (features[..., *here] - features[..., *there]).abs().mean(dim=1)
        rows.append(row)
    return torch.stack(rows, dim=1)


def pair_labels(seeds: Tensor, offsets: Sequence[tuple[int, int]] = OFFSETS) -> tuple[Tensor, Tensor, Tensor]:
    """Which pairs are known to be of the background, of one class, and of different labels (section 3.2).

    Args:
        seeds: uint8 of shape ``(batch, h, w)``: 0 background, class numbers, ``IGNORED`` where nothing is sure.
        offsets: see :func:`half_disc`.

    Returns:
        Three boolean tensors of shape ``(batch, offsets, h, w)``.
    """
    _, height, width = seeds.shape
    other = torch.full((len(seeds), len(offsets), height, width), IGNORED, dtype=seeds.dtype)
    for k, (dy, dx) in enumerate(offsets):
        here, there = _overlap(height, width, dy, dx)
        other[:, k, *here] = seeds[:, *there]
    own = seeds[:, None]
    known = (own != IGNORED) & (other != IGNORED)
    same = known & (own == other)
    return same & (own == 0), same & (own != 0), known & (own != other)


def affinity_loss(distances: Tensor, labels: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Cross-entropy, a quarter each for pairs of background and of one class, half for pairs of different labels
    (equation 6); a kind of pair that is absent counts for nothing."""
    background, foreground, different = labels
    loss = distances.new_zeros(())
    for weight, chosen in ((0.25, background), (0.25, foreground)):
        if chosen.any():
            loss = loss + weight * distances[chosen].mean()  # -log exp(-d)
    if different.any():
        loss = loss - 0.5 * torch.log(1.0 + 1e-5 - torch.exp(-distances[different])).mean()
    return loss


def _overlap(height: int, width: int, dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The cells that have a neighbour at an offset, and those neighbours; dy is not negative."""
    # A grid narrower than the offset has no such cells; a negative end would count from the other side.
    here = (slice(0, max(0, height - dy)), slice(max(0, -dx), max(0, min(width, width - dx))))
    there = (slice(min(dy, height), height), slice(max(0, dx), max(0, min(width, width + dx))))
    return here, there
