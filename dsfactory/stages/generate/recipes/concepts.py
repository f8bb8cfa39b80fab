"""A stream of concepts beside the image of Stable Diffusion 3 and FLUX.1 (ConceptAttention, Helbling et al. 2025,
arXiv 2502.04320).

Single words travel through the layers as the prompt's tokens do: they attend to each other and to the image. The image
never attends to them, so it stays what it was, and the words need not stand in the prompt. In each layer a word and a
pixel are compared by what attention gives to each; a softmax over the words makes them compete, classes with each other
and with words for backgrounds.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dsfactory.stages.generate.probabilities import split_heads

BACKGROUNDS = ("background", "sky", "grass", "ground", "water", "road", "wall", "floor")
"""What is beside the classes in most pictures."""


class ConceptStream:
    """Concepts on their way through the blocks of one call of a transformer.

    Args:
        transformer: an ``SD3Transformer2DModel`` or ``FluxTransformer2DModel``.
        states: text encoder states of the concepts, ``(images, concepts, features)``, each a single word's.
        mask: bool ``(images, concepts)``: those that are asked for; others fill up.
        rows: which rows of the batch the images are.
    """

    def __init__(self, transformer: Any, states: Tensor, mask: Tensor, rows: slice) -> None:
        self._transformer = transformer
        self._states, self._mask, self._rows = states, mask, rows
        self._first = len(transformer.transformer_blocks) // 2
        self._hidden: Tensor | None = None
        self._time: Tensor | None = None
        self._number = 0

    @torch.no_grad()
    def enter(self, number: int, block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before a block: a hook that is called with its arguments."""
        time: Tensor = kwargs["temb"] if "temb" in kwargs else args[2]
        self._number, self._time = number, time[self._rows]
        if number == 0:
            # Not through the module's own call: hooks would take the concepts for the prompt.
            self._hidden = self._transformer.context_embedder.forward(self._states.to(time.dtype))

    @torch.no_grad()
    def pass_block(self, attention: Any, key: Tensor, value: Tensor, mixed: Tensor) -> Tensor | None:
        """Take the concepts through a block whose attention has just been computed.

        Args:
            attention: the block's attention layer.
            key: the image's, after norms and rotary positions, ``(images, positions, heads * depth)``.
            value: the image's.
            mixed: what attention gave to the image, before its output projection.

        Returns:
            Shares of the concepts in each position, float32 ``(images, positions, concepts)``; None in the first half
            of the blocks, and in a last block that has no use for text.
        """
        block = self._transformer.transformer_blocks[self._number]
        assert self._hidden is not None and self._time is not None
        if getattr(block, "context_pre_only", False):
            return None
        normed, gate, shift, scale, gate_after = block.norm1_context.forward(self._hidden, emb=self._time)
        own = {
            part: split_heads(getattr(attention, f"add_{part}_proj").forward(normed), attention.heads)
            for part in ("q", "k", "v")
        }
        for part in ("q", "k"):
            if (norm := getattr(attention, f"norm_added_{part}", None)) is not None:
                own[part] = norm.forward(own[part])
        keys = torch.cat([own["k"], split_heads(key, attention.heads)], dim=2)
        values = torch.cat([own["v"], split_heads(value, attention.heads)], dim=2)
        seen = functional.pad(self._mask, (0, key.shape[1]), value=True)[:, None, None]
        given = functional.scaled_dot_product_attention(own["q"], keys, values, attn_mask=seen)
        given = given.transpose(1, 2).flatten(2)
        hidden = self._hidden + gate[:, None] * attention.to_add_out.forward(given)
        after = block.norm2_context.forward(hidden) * (1 + scale[:, None]) + shift[:, None]
        self._hidden = hidden + gate_after[:, None] * block.ff_context.forward(after)
        if self._number < self._first:
            return None
        scores = mixed.float() @ given.float().transpose(1, 2)
        return scores.masked_fill(~self._mask[:, None], -torch.inf).softmax(-1)
