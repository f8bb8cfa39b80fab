"""Reading the joint attention of Stable Diffusion 3 and FLUX, through the same door as cross-attention.

These transformers have no cross-attention: image and text positions attend to each other in one softmax (Esser et al.
2024, arXiv 2403.03206, section 4). What cross-attention was is a block of that matrix: image rows, text columns. It
is recomputed here from the queries and keys as they meet, after their norms (QK-norm) and rotary positions (RoPE),
with the softmax over the text columns alone, so that a word's map means what it means in a UNet: the word's share of
what the pixel takes from the text. The full matrix is never formed.
"""

import math
from collections.abc import Collection
from functools import partial
from typing import Any, Self

import torch
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor, nn

from dsfactory.stages.generate.attention import MAX_AFFINITY_POSITIONS, AttentionCapture, ClassQuery, ObservedLayer
from dsfactory.stages.generate.evidence import Grid
from dsfactory.stages.generate.probabilities import add_self_attention, attention_grid

PATCH = 16
"""Pixels a side of an image position: the autoencoder's factor of 8 times the transformer's patch of 2."""


class _JointLayer(ObservedLayer):
    """A joint attention layer under observation.

    Layers of two streams project text and image apart; layers of one stream (the later ones of FLUX) project text and
    image in one sequence, text first.
    """

    def __init__(self, name: str, attention: Any, text: int) -> None:
        self.name = name
        self.heads: int = attention.heads
        self.reads = 0
        self._text = text
        self._parts: dict[str, Tensor] = {}
        self._rotary: tuple[Tensor, Tensor] | None = None
        self.two_streams = getattr(attention, "add_k_proj", None) is not None

    def keep(self, part: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self._parts[part] = output

    def keep_rotary(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._rotary = kwargs.get("image_rotary_emb")

    def take(self, images: int) -> tuple[Tensor, Tensor] | None:
        """Query of the image positions and key of the text positions, followed by the image's own where they are asked
        for, of the batch's last images."""
        if "query" not in self._parts or "key" not in self._parts:
            return None
        parts = {name: self._by_position(part)[-images:] for name, part in self._parts.items()}
        self._parts.clear()
        query, key = parts["query"], parts["key"]
        if self.two_streams:
            key = torch.cat([parts["text_key"], key], dim=1) if self.image_keys else parts["text_key"]
        else:
            query = query[:, self._text :]
            key = key if self.image_keys else key[:, : self._text]
        if self._rotary is not None:
            cosines, sines = self._rotary
            key = _rotate(key, cosines[: key.shape[1]], sines[: key.shape[1]])
            query = _rotate(query, cosines[self._text :], sines[self._text :])
            self._rotary = None
        self.reads += 1
        return query.flatten(2), key.flatten(2)

    def _by_position(self, projected: Tensor) -> Tensor:
        """``(images, positions, heads, depth)``, whichever way the processor arranged it before the hook."""
        if projected.ndim == 3:
            return projected.view(*projected.shape[:2], self.heads, -1)
        return projected.transpose(1, 2) if projected.shape[1] == self.heads else projected


def _rotate(projected: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary positions on ``(images, positions, heads, depth)``, by the very function that the processor calls."""
    rotate: Any = apply_rotary_emb
    rotated: Tensor = rotate(projected, (cosines, sines), sequence_dim=1)
    return rotated


class JointAttentionCapture(AttentionCapture):
    """Capture a joint-attention transformer's attention to classes while it is called inside a ``with`` block.

    Args:
        transformer: an ``SD3Transformer2DModel`` or ``FluxTransformer2DModel``.
        query: which positions of the text sequence to follow. Classes that the text does not name cannot be asked for:
            text states change from layer to layer, so there are no class-prompt keys.
        grid: height and width of the image in positions.
        affinity_steps: as for :class:`AttentionCapture`; without effect on a grid of more than
            :data:`~dsfactory.stages.generate.attention.MAX_AFFINITY_POSITIONS`, such as that of 1024² pixels.
        timed: as for :class:`AttentionCapture`.
    """

    def __init__(
        self,
        transformer: nn.Module,
        query: ClassQuery,
        *,
        grid: Grid,
        affinity_steps: Collection[int] = (),
        timed: bool = False,
    ) -> None:
        if math.prod(grid) > MAX_AFFINITY_POSITIONS:
            affinity_steps = ()  # not even asked for: the image's keys would be turned and thrown away
        super().__init__(transformer, query, affinity_steps=affinity_steps, timed=timed)
        self._latent = grid
        self._text = query.weights.shape[1]

    def __enter__(self) -> Self:
        self._observe_steps()
        for name, module in self._unet.named_modules():
            if name.endswith(".attn"):
                self._observe_joint(module, _JointLayer(name, module, self._text))
        return self

    def _observe_joint(self, attention: Any, layer: _JointLayer) -> None:
        sources = {"query": attention.norm_q or attention.to_q, "key": attention.norm_k or attention.to_k}
        if layer.two_streams:
            sources["text_key"] = attention.norm_added_k or attention.add_k_proj
        self._layers.append(layer)
        self._handles += [module.register_forward_hook(partial(layer.keep, part)) for part, module in sources.items()]
        self._handles += [
            attention.register_forward_pre_hook(layer.keep_rotary, with_kwargs=True),
            attention.register_forward_hook(partial(self._finish_layer, layer, self._read_joint)),
        ]

    def _start_step(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._count_step(args[0] if args else kwargs["hidden_states"])
        for layer in self._layers:
            layer.image_keys = self._steps - 1 in self._affinity_steps

    def _read_joint(self, layer: ObservedLayer, query: Tensor, key: Tensor) -> None:
        depth = query.shape[2] // layer.heads
        layer.scale = depth**-0.5
        self._read_cross(layer, query, key[:, : self._text].contiguous())  # it may wait, and keep the rest
        if key.shape[1] > self._text:
            positions = query.shape[1]
            total = self._self.setdefault(
                attention_grid(self._latent, positions),
                torch.zeros(self._images, positions, positions, device=query.device),
            )
            add_self_attention(total, query, key[:, self._text :].contiguous(), layer.heads, layer.scale)
