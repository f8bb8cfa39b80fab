"""Attention probabilities of chosen tokens on an accelerator, by the fused attention kernel, layers together.

There, a step of drawing is some thousand small kernels, and starting them takes longer than most of them run.
Attention's output is the sum of the values by probability: with the tokens' weights in the place of the values it is
the map that we ask for, in one kernel, which keeps the scores to itself and sums them in float32. Layers of one shape
wait for each other, over steps as far as memory goes, so that sixteen are read by what one would cost.

Probabilities and maps are rounded to the model's own format (0.4 % in bfloat16); the mean over heads, layers and steps
evens that out. On a CPU :mod:`dsfactory.stages.generate.probabilities` reads exactly.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from dsfactory.stages.generate.probabilities import split_heads

MOST_WAITING = 2**27
"""Bytes of the queries and keys that wait for each other: reading many pays for its own start.

A step of Stable Diffusion 1.5 at 512² makes 46 MB for each image in 16 bits, with the half for guidance, which is kept
as long."""

MOST_LAYERS = 16
"""Layers that are read together."""

VALUE = 1024.0
"""A weight of one among attention's values, so that the result stays clear of the least float16."""

_ALIGNMENT = 8
"""The kernels want the values' width to be a multiple of this."""


def weights_as_values(weights: Tensor, heads: int, depth: int, dtype: torch.dtype) -> Tensor:
    """Tokens' weights in the place of attention's values.

    Args:
        weights: float32 ``(images, tokens, classes)``.
        heads: number of attention heads.
        depth: of a head. The flash kernel takes only values as wide, so zeros follow the classes.
        dtype: of the query and the key.

    Returns:
        ``(images, heads, tokens, depth)``, wider only for more classes than that; times :data:`VALUE`.
    """
    classes = weights.shape[2]
    width = max(depth, -(-classes // _ALIGNMENT) * _ALIGNMENT)
    values = functional.pad(weights * VALUE, (0, width - classes)).to(dtype)
    return values[:, None].expand(-1, heads, -1, -1).contiguous()


def fused_token_probabilities(
    query: Tensor,
    key: Tensor,
    values: Tensor,
    heads: int,
    scale: float,
    classes: int,
    layers: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """As :func:`.probabilities.token_probabilities`, times :data:`VALUE`, and the mean over layers.

    Args:
        query, key, heads, scale: as there, float16 or bfloat16; the images of one layer after those of another.
        values: of :func:`weights_as_values`, for each of these.
        classes: how many of the values count.
        layers: number of layers.
        mask: bool ``(images, tokens)``, the keys that are attended to; None for all.

    Returns:
        float32 ``(images, positions, classes)``.
    """
    found = functional.scaled_dot_product_attention(
        split_heads(query, heads),
        split_heads(key, heads),
        values,
        attn_mask=None if mask is None else mask[:, None, None],
        scale=scale,
    )[..., :classes]
    return found.view(layers, -1, *found.shape[1:]).mean((0, 2), dtype=torch.float32)


_Kind: TypeAlias = tuple[int, int, int, float]
"""Positions, heads, width, scale."""


@dataclass
class _Waiting:
    """Queries and keys of layers of one shape, and where their maps are added."""

    total: Tensor
    queries: list[Tensor] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Bytes that are kept for them; more than they have where they are parts of larger tensors."""
        pair = self.queries[0], self.keys[0]
        return len(self.queries) * sum(tensor.untyped_storage().nbytes() for tensor in pair)


class FusedReads:
    """Adds layers' maps to running sums, several layers at a time.

    Args:
        weights: float32 ``(images, tokens, classes)`` on the device.
        mask: bool ``(images, tokens)``, the tokens that are attended to; None for all.
    """

    def __init__(self, weights: Tensor, mask: Tensor | None = None) -> None:
        self._weights = weights
        self._mask = mask
        self._values: dict[tuple[int, int], Tensor] = {}
        self._waiting: dict[_Kind, _Waiting] = {}

    def add(self, total: Tensor, query: Tensor, key: Tensor, heads: int, scale: float) -> None:
        """Have a layer's map added, at the latest by :meth:`finish`.

        Args:
            total: float32 ``(images, positions, classes)``.
            query: ``(images, positions, heads * depth)``, float16 or bfloat16.
            key: ``(images, tokens, heads * depth)``.
            heads: number of attention heads.
            scale: factor on the scores.
        """
        kind = query.shape[1], heads, query.shape[2], scale
        waiting = self._waiting.setdefault(kind, _Waiting(total))
        waiting.queries.append(query)
        waiting.keys.append(key)
        if len(waiting.queries) == MOST_LAYERS:
            self._read(kind)
        while sum(each.held for each in self._waiting.values()) > MOST_WAITING:
            self._read(max(self._waiting, key=lambda kind: self._waiting[kind].held))

    def finish(self) -> None:
        """Read what waits."""
        for kind in list(self._waiting):
            self._read(kind)

    def _read(self, kind: _Kind) -> None:
        _, heads, width, scale = kind
        waiting = self._waiting.pop(kind)
        layers = len(waiting.queries)
        query, key = torch.cat(waiting.queries), torch.cat(waiting.keys)
        shape = heads, width // heads
        values = self._values.get(shape)
        if values is None or len(values) < len(query):
            values = weights_as_values(self._weights.repeat(layers, 1, 1), *shape, query.dtype)
            self._values[shape] = values
        values = values[: len(query)]  # the same for each layer
        mask = None if self._mask is None else self._mask.repeat(layers, 1)
        maps = fused_token_probabilities(query, key, values, heads, scale, self._weights.shape[2], layers, mask)
        waiting.total.add_(maps, alpha=layers / VALUE)
