"""The layers of joint attention that separate classes best (Seg4Diff): one of Stable Diffusion 3, two of FLUX.

There the softmax is the model's own, over image and text, and of the text of Stable Diffusion 3 only the part that CLIP
has read counts.
"""

from dataclasses import replace

import torch
from torch.nn import functional

from dsfactory.stages.generate.query import ClassQuery

BLOCKS = {"SD3Transformer2DModel": ((9,), 24), "FluxTransformer2DModel": ((12, 17), 19)}
"""By class of the transformer: numbers of its blocks, and how many the published one has."""

CLIP_TOKENS = 77


def reader_blocks(transformer: str, blocks: int) -> tuple[str, ...]:
    """Names of the attention layers to read; those at the same relative depth in a model with fewer blocks.

    Args:
        transformer: name of its class.
        blocks: how many it has.

    Raises:
        ValueError: nobody has published which layers of this class to read.
    """
    if transformer not in BLOCKS:
        raise ValueError(f"generate.recipe: 'block' reads Stable Diffusion 3 and FLUX.1, not a {transformer}")
    numbers, published = BLOCKS[transformer]
    if blocks < published:
        numbers = tuple(sorted({number * blocks // published for number in numbers}))
    return tuple(f"transformer_blocks.{number}.attn" for number in numbers)


def full_query(query: ClassQuery, positions: int, clip_only: bool) -> ClassQuery:
    """A query of a softmax over the text and, after it, the image.

    Args:
        query: of the text.
        positions: of the image.
        clip_only: leave out what follows CLIP's tokens, for classes that CLIP has read.
    """
    weights = query.weights
    if clip_only:
        clip = weights.clone()
        clip[:, CLIP_TOKENS:] = 0.0
        total = clip.sum(1, keepdim=True)
        weights = torch.where(total > 0, clip / total.clamp_min(torch.finfo(clip.dtype).tiny), weights)
    mask = None if query.mask is None else functional.pad(query.mask, (0, positions), value=True)
    return replace(query, weights=functional.pad(weights, (0, 0, 0, positions)), mask=mask)
