"""Heads weighted by what they contribute (GoCA, CVPR 2026).

A layer's output is the sum of what its heads send through the output projection. A head whose part points the way that
the whole output goes has decided what happens at that pixel; one whose part is cancelled by others has not.
"""

import torch
from torch import Tensor


def head_weights(mixed: Tensor, projection: Tensor, heads: int) -> Tensor:
    """Each head's share in a layer's output, pixel by pixel.

    A head's part is ``m W`` with its mixed values ``m`` and its columns of the projection ``W``. Its weight is the
    dot product of that with the layer's output, not below 0, divided by the sum over heads.

    Args:
        mixed: what the output projection is given, ``(images, positions, heads * depth)``.
        projection: its weight, ``(features, heads * depth)``.
        heads: number of attention heads.

    Returns:
        float32 ``(images, heads, positions)``, summing to 1 over heads.
    """
    mixed, projection = mixed.float(), projection.float()
    back = mixed @ projection.T @ projection
    parts = (mixed * back).view(*mixed.shape[:2], heads, -1).sum(-1).clamp_min(0.0)
    total = parts.sum(-1, keepdim=True)
    shares = torch.where(total > 0, parts / total.clamp_min(torch.finfo(parts.dtype).tiny), 1.0 / heads)
    return shares.transpose(1, 2).contiguous()
