"""Attention probabilities of chosen tokens, recomputed in float32 without ever holding a full attention map."""

import torch
from torch import Tensor
from torch.nn import functional

Grid = tuple[int, int]

_CHUNK = {"cpu": 2**19}
"""Scores computed at a time: what stays in a CPU's cache (measured: 2¹⁷ and 2²¹ are slower)."""

_CHUNK_ACCELERATOR = 2**22
"""On an accelerator: 16 MB of float32, small beside a UNet's activations and few enough kernels."""


def token_probabilities(
    query: Tensor,
    key: Tensor,
    weights: Tensor,
    heads: int,
    scale: float,
    mask: Tensor | None = None,
    shares: Tensor | None = None,
) -> Tensor:
    """Softmax over all keys, averaged over heads and summed over tokens with weights.

    The softmax runs in float32 whatever the inputs: in float16 small probabilities would vanish.

    Args:
        query: ``(images, positions, heads * depth)``, as the attention layer projects it.
        key: ``(images, tokens, heads * depth)``.
        weights: float32 ``(images, tokens, classes)``.
        heads: number of attention heads.
        scale: factor on the scores, usually ``depth ** -0.5``.
        mask: bool ``(images, tokens)``, the keys that are attended to; None for all.
        shares: float32 ``(images, heads, positions)``, each head's weight, summing to 1; None for the mean.

    Returns:
        float32 ``(images, positions, classes)``, in [0, 1] for weights that sum to 1.
    """
    keys = _scaled_keys(key, heads, scale)
    found = []
    start = 0
    for part in _chunks(query, heads, key.shape[1]):
        scores = part.float() @ keys
        if mask is not None:
            scores.masked_fill_(~mask[:, None, None], -torch.inf)
        chances = torch.softmax(scores, dim=-1)
        stop = start + part.shape[2]
        mean = chances.mean(1) if shares is None else (chances * shares[:, :, start:stop, None]).sum(1)
        found.append(mean @ weights)
        start = stop
    return torch.cat(found, dim=1)


def add_self_attention(total: Tensor, query: Tensor, key: Tensor, heads: int, scale: float) -> None:
    """Add a self-attention map, averaged over heads, to a running sum.

    Args:
        total: float32 ``(images, positions, positions)``; changed in place.
        query: ``(images, positions, heads * depth)``.
        key: of the query's shape.
        heads: number of attention heads.
        scale: factor on the scores.
    """
    # Image by image, for chunks of few rows multiply slowly.
    for image in range(query.shape[0]):
        keys = _scaled_keys(key[image : image + 1], heads, scale)
        start = 0
        for part in _chunks(query[image : image + 1], heads, key.shape[1]):
            stop = start + part.shape[2]
            total[image, start:stop] += torch.softmax(part.float() @ keys, dim=-1)[0].mean(0)
            start = stop


def spread(attention: Tensor, maps: Tensor, power: int) -> Tensor:
    """Pass maps along self-attention: the attention matrix's power applied to each map, stretched to [0, 1].

    A position takes the mean of the positions that it attends to, ``power`` times over, which completes a map
    that lights up only the telling parts of an object (Dataset Diffusion, Nguyen et al. 2023, section 3.3). The
    means leave little contrast, which float16 could not keep: hence the stretching.

    Args:
        attention: float32 ``(images, positions, positions)``; rows are normalised here.
        maps: float32 ``(images, positions, classes)``, not negative.
        power: how often.

    Returns:
        float32 of the maps' shape, from 0 to 1 for each map; near 0 for one that is flat up to rounding.
    """
    attention = attention / attention.sum(-1, keepdim=True)
    for _ in range(power):
        maps = attention @ maps
    low, high = maps.aminmax(dim=1, keepdim=True)
    return (maps - low) / (high - low).maximum(1e-5 * high + torch.finfo(maps.dtype).tiny)


def fuse_grids(maps: dict[Grid, Tensor], grid: Grid) -> Tensor:
    """Mean over grids, each map divided by its maximum and resized (bilinear) to one grid.

    Args:
        maps: per grid ``(h, w)``, float32 ``(images, h * w, classes)``.
        grid: the target's height and width.

    Returns:
        float32 ``(images, height * width, classes)`` in [0, 1].
    """
    fused = []
    for (height, width), values in maps.items():
        values = values / values.amax(1, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)
        planes = values.transpose(1, 2).reshape(values.shape[0], -1, height, width)
        fused.append(functional.interpolate(planes, size=grid, mode="bilinear", antialias=True))
    return torch.stack(fused).mean(0).flatten(2).transpose(1, 2)


def attention_grid(latent: Grid, positions: int) -> Grid:
    """Height and width of a layer's map, from the latent's and the layer's number of positions.

    A UNet halves its grid from level to level, rounding up.

    Raises:
        ValueError: no level of the latent has that many positions.
    """
    height, width = latent
    while height * width > positions:
        height, width = (height + 1) // 2, (width + 1) // 2
    if height * width != positions:
        raise ValueError(f"{positions} positions are no level of a {latent[0]}x{latent[1]} latent")
    return height, width


def split_heads(tensor: Tensor, heads: int) -> Tensor:
    """``(images, positions, heads * depth)`` as ``(images, heads, positions, depth)``, a view."""
    return tensor.view(*tensor.shape[:2], heads, -1).transpose(1, 2)


def _scaled_keys(key: Tensor, heads: int, scale: float) -> Tensor:
    """Keys times the scale in float32, ``(images, heads, depth, tokens)``, contiguous or every product copies them."""
    return split_heads(key, heads).transpose(2, 3).float().mul(scale).contiguous()


def _chunks(query: Tensor, heads: int, keys: int) -> tuple[Tensor, ...]:
    """The query by heads, split along its positions so that the scores of a part are few."""
    limit = _CHUNK.get(query.device.type, _CHUNK_ACCELERATOR)
    positions = max(1, limit // (query.shape[0] * heads * keys))
    return torch.split(split_heads(query, heads), positions, dim=2)
