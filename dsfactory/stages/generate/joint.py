"""Reading joint attention, as Stable Diffusion 3, FLUX, Z-Image and Qwen-Image have it, through the same door.

These transformers have no cross-attention: image and text positions attend to each other in one softmax (Esser et al.
2024, arXiv 2403.03206, section 4). What cross-attention was is a block of that matrix: image rows, text columns. It
is recomputed here from the queries and keys as they meet, after their norms (QK-norm) and rotary positions (RoPE),
with the softmax over the text columns alone, so that a word's map means what it means in a UNet: the word's share of
what the pixel takes from the text. The full matrix is never formed.

There are two kinds of layers. Those of two streams project text and image apart (SD3, Qwen-Image, the first ones of
FLUX). Those of one stream project them in one sequence: text first in FLUX, image first in Z-Image.
"""

import math
from collections.abc import Collection
from functools import partial
from typing import Any, Literal, Self

import torch
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_z_image import SEQ_MULTI_OF
from torch import Tensor, nn

from dsfactory.stages.generate.attention import AttentionCapture
from dsfactory.stages.generate.evidence import Grid
from dsfactory.stages.generate.observed import ObservedLayer
from dsfactory.stages.generate.probabilities import attention_grid
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes import MEAN, Recipe
from dsfactory.stages.generate.recipes.blocks import full_query, reader_blocks
from dsfactory.stages.generate.recipes.concepts import ConceptStream
from dsfactory.stages.generate.recipes.propagation import most_positions

PATCH = 16
"""Pixels a side of an image position: the autoencoder's factor of 8 times the transformer's patch of 2."""


class _JointLayer(ObservedLayer):
    """A joint attention layer under observation.

    Args:
        name: of the layer.
        attention: the layer.
        image: where the image is in a sequence of both.
        text: where the text is.
    """

    def __init__(self, name: str, attention: Any, image: slice, text: slice) -> None:
        super().__init__(name, attention)
        self._image, self._text = image, text
        self._rotary: Any = None
        self.two_streams = getattr(attention, "add_k_proj", None) is not None

    def keep_rotary(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._rotary = kwargs.get("image_rotary_emb", kwargs.get("freqs_cis"))

    def of_image(self, parts: dict[str, Tensor], rows: slice) -> tuple[Tensor, Tensor]:
        """Query of the image positions and key of the text positions, followed by the image's own where they are asked
        for."""
        parts = {name: self._by_position(part) for name, part in parts.items()}
        query, key, text_key = parts["query"], parts["key"], parts.get("text_key")
        if text_key is None:
            query, key, text_key = query[:, self._image], key[:, self._image], key[:, self._text]
        if self._rotary is not None:
            image_turn, text_turn = self._turns(rows)
            query, text_key = _rotate(query, image_turn), _rotate(text_key, text_turn)
            key = _rotate(key, image_turn) if self.image_keys else key
            self._rotary = None
        key = torch.cat([text_key, key], dim=1) if self.image_keys else text_key
        return query.flatten(2), key.flatten(2)

    def _by_position(self, projected: Tensor) -> Tensor:
        """``(images, positions, heads, depth)``, whichever way the processor arranged it before the hook."""
        if projected.ndim == 3:
            return projected.view(*projected.shape[:2], self.heads, -1)
        return projected if projected.shape[2] == self.heads else projected.transpose(1, 2)

    def _turns(self, rows: slice) -> tuple[Any, Any]:
        """Rotary positions of the image and of the text: cosines and sines, or complex ``(images, positions, …)``."""
        if isinstance(self._rotary, Tensor):  # Z-Image: complex, per image
            return self._rotary[rows, self._image], self._rotary[rows, self._text]
        first, second = self._rotary
        if first.is_complex():  # Qwen-Image: the image's and the text's
            return first[None], second[None]
        return (first[self._image], second[self._image]), (first[self._text], second[self._text])


def _rotate(projected: Tensor, turn: Any) -> Tensor:
    """Rotary positions on ``(images, positions, heads, depth)``, by the very function that most processors call."""
    rotate: Any = apply_rotary_emb
    rotated: Tensor = rotate(projected, turn, use_real=isinstance(turn, tuple), sequence_dim=1)
    return rotated


class JointAttentionCapture(AttentionCapture):
    """Capture a joint-attention transformer's attention to classes while it is called inside a ``with`` block.

    Args:
        transformer: an ``SD3Transformer2DModel``, ``FluxTransformer2DModel``, ``Flux2Transformer2DModel``,
            ``QwenImageTransformer2DModel`` or ``ZImageTransformer2DModel``.
        query: which positions of the text sequence to follow. Classes that the text does not name cannot be asked for:
            text states change from layer to layer, so there are no class-prompt keys.
        grid: height and width of the image in positions.
        recipe: as for :class:`AttentionCapture`; its ``heads`` have no effect.
        cross_steps: as for :class:`AttentionCapture`.
        affinity_steps: as for :class:`AttentionCapture`; without effect on a grid of more than
            :func:`~dsfactory.stages.generate.recipes.propagation.most_positions`, such as that of 1024² pixels.
        timed: as for :class:`AttentionCapture`.
        guided: as for :class:`AttentionCapture`.
    """

    def __init__(
        self,
        transformer: nn.Module,
        query: ClassQuery,
        *,
        grid: Grid,
        recipe: Recipe = MEAN,
        cross_steps: Collection[int] | None = None,
        affinity_steps: Collection[int] = (),
        pooled: bool = False,
        timed: bool = False,
        guided: Literal["last", "first", "turns"] = "last",
    ) -> None:
        positions = math.prod(grid)
        if positions > most_positions(recipe):
            affinity_steps = ()  # not even asked for: the image's keys would be turned and thrown away
        self._text = query.weights.shape[1]
        self._named: tuple[str, ...] = ()
        if recipe.block:
            kind = type(transformer).__name__
            self._named = reader_blocks(kind, len(transformer.transformer_blocks))  # type: ignore[arg-type]
            query = full_query(query, positions, clip_only=kind == "SD3Transformer2DModel")
        super().__init__(
            transformer,
            query,
            recipe=recipe,
            cross_steps=cross_steps,
            affinity_steps=affinity_steps,
            pooled=pooled,
            timed=timed,
            guided=guided,
        )
        self._latent = grid
        self._stream: ConceptStream | None = None
        if recipe.concepts:
            assert query.states is not None and query.state_mask is not None
            self._stream = ConceptStream(transformer, query.states, query.state_mask, self._rows)
        if type(transformer).__name__ == "ZImageTransformer2DModel":
            self._ending = ".attention"
            start = -(-positions // SEQ_MULTI_OF) * SEQ_MULTI_OF
            self._places = slice(0, positions), slice(start, start + self._text)
        else:
            self._ending = ".attn"
            self._places = slice(self._text, None), slice(0, self._text)

    def __enter__(self) -> Self:
        self._observe_steps()
        if self._stream is not None:
            blocks: Any = self._unet.transformer_blocks
            for number, block in enumerate(blocks):
                enter = partial(self._stream.enter, number)
                self._handles.append(block.register_forward_pre_hook(enter, with_kwargs=True))
        for name, module in self._unet.named_modules():
            # Z-Image's refiners let text and image attend to themselves only.
            if name.endswith(self._ending) and "refiner" not in name and name in (self._named or (name,)):
                self._observe_joint(module, _JointLayer(name, module, *self._places))
        return self

    def _observe_joint(self, attention: Any, layer: _JointLayer) -> None:
        norms = {"query": attention.norm_q, "key": attention.norm_k}
        sources = {part: norm or getattr(attention, f"to_{part[0]}") for part, norm in norms.items()}
        if layer.two_streams and self._stream is not None:
            sources["value"] = attention.to_v
            self._handles.append(attention.to_out[0].register_forward_hook(layer.keep_mixed))
        if layer.two_streams:
            sources["text_key"] = attention.norm_added_k or attention.add_k_proj
        self._handles.append(attention.register_forward_pre_hook(layer.keep_rotary, with_kwargs=True))
        self._hook(attention, layer, self._read_joint, sources)

    def _start_step(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._count_step(len(args[0] if args else kwargs["hidden_states"]))
        for layer in self._layers:
            layer.image_keys = bool(self._named) or self._stream is not None or layer.self_reads < self._self_due

    def _read_joint(self, layer: ObservedLayer, query: Tensor, key: Tensor) -> None:
        depth = query.shape[2] // layer.heads
        layer.scale = depth**-0.5
        if self._stream is not None:
            self._read_concepts(self._stream, layer, key[:, self._text :])
        elif self._named:
            self._read_cross(layer, query, key)
        else:
            self._read_cross(layer, query, key[:, : self._text].contiguous())  # it may wait, and keep the rest
        if layer.self_reads < self._self_due:
            positions = query.shape[1]
            layer.self_reads = self._self_due
            grid = attention_grid(self._latent, positions)
            self._self.setdefault(grid, torch.zeros(self._images, positions, positions, device=query.device))
            self._add_self(grid, query, key[:, self._text :].contiguous(), layer)

    def _read_concepts(self, stream: ConceptStream, layer: ObservedLayer, key: Tensor) -> None:
        if layer.value is None or layer.mixed is None:  # a layer of one stream
            return
        shares = stream.pass_block(layer.attention, key, layer.value, layer.mixed)
        layer.value = layer.mixed = None
        grid = attention_grid(self._latent, key.shape[1])
        if shares is not None and self._wants_cross(grid):
            mean = self._mean_of(grid)
            mean.count += 1
            mean.total += shares[..., : mean.total.shape[2]]
