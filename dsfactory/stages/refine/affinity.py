"""Coarse masks from learnt affinities: confident seeds, and a random walk of the attention maps.

Ahn and Kwak 2018 (arXiv 1803.10464), sections 3.2 (seeds) and 3.4 (random walk), as DiffuMask (Wu et al. 2023, section
3.3) uses it: the walked map's mask is what the adaptive threshold is judged by.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.crf.crf import Float, dense_crf
from dsfactory.crf.crf_cpu import softmax, winners
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.thumbnail import Thumbnail
from dsfactory.stages.refine.affinity_net import IGNORED, OFFSETS, AffinityNet, grid_of, net_input, pair_distances
from dsfactory.stages.refine.fuse import resize_maps, stretch
from dsfactory.stages.refine.threshold import soft_logits

PURITY = 0.75
"""Share of a cell's pixels that must be sure of one label for the cell to be a seed."""


@dataclass(frozen=True)
class Walk:
    """How far maps spread.

    Attributes:
        beta: power of the affinities; larger is more cautious.
        steps: length of the random walk.
    """

    beta: float = 16.0
    steps: int = 64


def confident_seeds(
    image: NDArray[np.uint8],
    fused: Float,
    scores: tuple[float, float],
    sharpness: float,
    kernels: Kernels,
    iterations: int,
) -> NDArray[np.uint8]:
    """The cells of which a weak and a strong background say the same.

    Ahn and Kwak set the background's score twice, low and high, refine each with a CRF, and trust what is foreground
    against the high one and background against the low one. Here the scores are thresholds of the fused map.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        fused: float32 maps in [0, 1], shape ``(classes, height, width)``.
        scores: the background's two scores, low and high.
        sharpness: see :func:`dsfactory.stages.refine.threshold.soft_logits`.
        kernels: of the CRF; widths in pixels of ``image``.
        iterations: of the CRF.

    Returns:
        uint8 of shape :func:`grid_of` the image: 0 background, k for the k-th class from 1, ``IGNORED``.
    """
    opinions = []
    thumbnail = Thumbnail(image, kernels)
    for score in scores:
        logits = soft_logits(fused, [score] * len(fused), sharpness)
        start = softmax(np.concatenate([np.zeros_like(logits[:1]), logits]))
        opinions.append(winners(dense_crf(image, start, kernels, iterations, thumbnail=thumbnail)))
    low, high = opinions
    sure = np.stack([low == 0, *((high == k) & (low == k) for k in range(1, len(fused) + 1))])
    share = _cell_means(sure.astype(np.float32), grid_of(image.shape[:2]))
    return np.where(share.max(axis=0) >= PURITY, share.argmax(axis=0), IGNORED).astype(np.uint8)


def _cell_means(maps: Float, grid: tuple[int, int]) -> Float:
    pooled = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(maps), grid)
    return np.asarray(pooled.numpy(), dtype=np.float32)


@torch.inference_mode()
def walked_maps(net: AffinityNet, image: NDArray[np.uint8], fused: Float, walk: Walk) -> Float:
    """Maps spread over what the network says belongs together.

    The chance to go from one cell to another is its affinity to the power of beta, divided by the sum over all
    neighbours and the cell itself (equations 4 and 5).

    Args:
        net: the trained network.
        image: uint8 RGB, shape ``(height, width, 3)``.
        fused: float32 maps in [0, 1], shape ``(classes, height, width)``.
        walk: power and length.

    Returns:
        float32 maps of the same shape, each stretched to [0, 1].
    """
    size = (image.shape[0], image.shape[1])
    distances = pair_distances(net(net_input(image)[None]))[0]
    chances = _transitions(torch.exp(-walk.beta * distances))
    grid = distances.shape[1:]
    maps = torch.from_numpy(_cell_means(fused, (grid[0], grid[1]))).flatten(1).t()
    for _ in range(walk.steps):
        maps = chances @ maps
    spread = maps.t().reshape(-1, *grid).numpy()
    return stretch(resize_maps(spread, size))


def _transitions(affinity: torch.Tensor) -> torch.Tensor:
    """The dense matrix of chances between cells, from affinities of shape ``(offsets, h, w)``; 4 MB for 32² cells."""
    _, height, width = affinity.shape
    cells = height * width
    matrix = torch.eye(cells)
    index = torch.arange(cells).view(height, width)
    for (dy, dx), row in zip(OFFSETS, affinity, strict=True):
        inside = row > 0
        here = index[inside]
        there = here + dy * width + dx
        matrix[here, there] = row[inside]
        matrix[there, here] = row[inside]
    return matrix / matrix.sum(dim=1, keepdim=True)
