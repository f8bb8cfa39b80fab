"""Attention that follows a layout while a UNet draws, without training.

Cross-attention: positions outside an object do not see its class's tokens (rectified cross-attention, FreestyleNet,
Xue et al. 2023, arXiv 2303.14412). Self-attention in the first steps: positions of one object see more of each other
and less of the rest (DenseDiffusion, Kim et al. 2023, arXiv 2308.12964). Both act on the half of the batch that is
drawn to the caption. Queries and keys stay as they are, so that what reads them sees unmodulated attention.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.stages.generate.layouts.config import LayoutConfig
from dsfactory.stages.generate.layouts.layout import Placed
from dsfactory.stages.generate.probabilities import Grid, attention_grid, split_heads

MAX_POSITIONS = 64 * 64
"""Positions of the largest grid on which self-attention is lifted."""

_CHUNK = 2**24
"""Scores computed at a time."""

Processor = Callable[..., Tensor]


def segments(objects: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which object each position of an attention grid belongs to: the one that covers most of it.

    An object that covers most of no position gets the one that it covers most, so that none is lost.

    Args:
        objects: uint8 ``(height, width)``, object ids, 0 background, 255 void.
        grid: height and width.

    Returns:
        int64 ``(grid height * grid width,)``.
    """
    ids = torch.unique(objects)
    planes = (objects[None] == ids[:, None, None]).float()
    cover = functional.adaptive_avg_pool2d(planes[None], grid)[0].flatten(1)
    found: Tensor = ids.long()[cover.argmax(0)]
    for number, plane in zip(ids.tolist(), cover, strict=True):
        if number not in (BACKGROUND, VOID) and not (found == number).any():
            found[plane.argmax()] = number
    return found


@dataclass
class _Seen:
    """What a grid sees of a batch's layouts.

    Attributes:
        objects: int64 ``(images, positions)``.
        share: float32, the same shape: share of the grid that each position's object covers.
        blocked: bool ``(images, positions, tokens)``: class tokens that a position must not see.
        named: bool, the same shape: tokens of the position's own class.
    """

    objects: Tensor
    share: Tensor
    blocked: Tensor
    named: Tensor


@dataclass
class LayoutControl:
    """Replace a UNet's attention processors inside a ``with`` block.

    Args:
        unet: a ``UNet2DConditionModel``.
        layouts: one per image.
        class_ids: per image, the id that each of its classes has in the layout.
        tokens: bool ``(images, tokens, classes)``, the caption's tokens of each class.
        config: the strengths.
        hard: cross-attention alone is masked.
        steps: how many steps are drawn.
        train_steps: the scheduler's number of training timesteps.
    """

    unet: nn.Module
    layouts: Sequence[Placed]
    class_ids: Sequence[Sequence[int]]
    tokens: Tensor
    config: LayoutConfig
    hard: bool
    steps: int
    train_steps: int = 1000
    _before: dict[str, Any] = field(default_factory=dict)
    _seen: dict[Grid, _Seen] = field(default_factory=dict)
    _handle: RemovableHandle | None = None
    _step: int = 0
    _strength: float = 0.0
    _latent: Grid = (0, 0)

    def __enter__(self) -> Self:
        network: Any = self.unet
        self._before = dict(network.attn_processors)
        made: dict[str, Any] = {}
        for name, processor in self._before.items():
            if ".attn2." in name:
                made[name] = _CrossProcessor(self, processor)
            else:
                made[name] = processor if self.hard else _SelfProcessor(self, processor)
        network.set_attn_processor(made)
        self._handle = self.unet.register_forward_pre_hook(self._start_step, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._handle is not None
        self._handle.remove()
        network: Any = self.unet
        network.set_attn_processor(self._before)

    def _start_step(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sample: Tensor = args[0] if args else kwargs["sample"]
        time: Any = args[1] if len(args) > 1 else kwargs["timestep"]
        self._latent = (sample.shape[-2], sample.shape[-1])
        active = self._step < self.config.strengths.until * self.steps
        self._strength = (float(time) / self.train_steps) ** self.config.strengths.power if active else 0.0
        self._step += 1

    def seen(self, positions: int) -> _Seen:
        """What a layer of this many positions sees of the layouts."""
        grid = attention_grid(self._latent, positions)
        if grid not in self._seen:
            self._seen[grid] = self._look(grid)
        return self._seen[grid]

    def _look(self, grid: Grid) -> _Seen:
        device, positions = self.tokens.device, grid[0] * grid[1]
        images, tokens, _ = self.tokens.shape
        objects = torch.stack([segments(torch.from_numpy(np.array(one.objects)), grid) for one in self.layouts])
        share = torch.stack([torch.bincount(row, minlength=VOID + 1)[row] / positions for row in objects])
        blocked = torch.zeros(images, positions, tokens, dtype=torch.bool)
        named = torch.zeros_like(blocked)
        words = self.tokens.cpu()
        for image, layout in enumerate(self.layouts):
            of_object = torch.zeros(VOID + 1, dtype=torch.long)
            for number, label in layout.classes_of_objects().items():
                of_object[number] = label
            labels, void = of_object[objects[image]], objects[image] == VOID
            for place, label in enumerate(self.class_ids[image]):
                inside, its = labels == label, words[image, :, place]
                blocked[image] |= (~inside & ~void)[:, None] & its
                named[image] |= inside[:, None] & its
        # Of a word that two classes share, the one that is there is seen.
        return _Seen(objects.to(device), share.to(device), (blocked & ~named).to(device), named.to(device))

    def cross_bias(self, query_like: Tensor) -> Tensor:
        """What is added to a layer's scores: ``(batch, positions, tokens)``, 0 for the half without the caption."""
        batch, positions, _ = query_like.shape
        blocked = self.seen(positions).blocked
        bias = torch.zeros(batch, *blocked.shape[1:], dtype=query_like.dtype, device=query_like.device)
        bias[-len(blocked) :].masked_fill_(blocked, -torch.inf)
        return bias

    def lifted(self, heads: int, query: Tensor, key: Tensor, value: Tensor, scale: float, cross: bool) -> Tensor:
        """Attention with DenseDiffusion's term: ``(images, positions, width)``, of the rows with the caption.

        Scores of positions that belong together rise to the row's maximum by a share, those of others sink to its
        minimum: ``S + w (max S - S)`` and ``S - w (S - min S)``, w falling with the object's area.
        """
        seen = self.seen(query.shape[1])
        weight = self._strength * (self.config.strengths.cross if cross else self.config.strengths.self_)  # type: ignore[operator]
        weights = weight * (1 - seen.share)
        if cross:
            weights = torch.where(seen.objects == VOID, 0.0, weights)
        parts: list[Tensor] = []
        queries, values = split_heads(query, heads), split_heads(value, heads)
        keys = split_heads(key, heads).transpose(2, 3).float() * scale
        rows = max(1, _CHUNK // (len(query) * heads * key.shape[1]))
        for start in range(0, query.shape[1], rows):
            part = slice(start, start + rows)
            scores = queries[:, :, part].float() @ keys
            low, high = scores.aminmax(dim=-1, keepdim=True)
            share = weights[:, None, part, None]
            if cross:
                together, apart = seen.named[:, part], self._pushed(seen, part)
            else:
                here, there = seen.objects[:, part, None], seen.objects[:, None, :]
                known = (here != VOID) & (there != VOID)
                together, apart = known & (here == there), known & (here != there)
            scores = torch.where(together[:, None], scores + share * (high - scores), scores)
            scores = torch.where(apart[:, None], scores - share * (scores - low), scores)
            parts.append(torch.softmax(scores, dim=-1).to(value.dtype) @ values)
        return torch.cat(parts, dim=2).transpose(1, 2).flatten(2)

    @staticmethod
    def _pushed(seen: _Seen, part: slice) -> Tensor:
        """Tokens that are pushed down: in an object all that do not name it, elsewhere those of the classes."""
        inside = (seen.objects[:, part] != BACKGROUND)[..., None]
        return torch.where(inside, ~seen.named[:, part], seen.blocked[:, part])


@dataclass(frozen=True)
class _CrossProcessor:
    control: LayoutControl
    inner: Processor

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        strengths = self.control.config.strengths
        if self.control.hard or strengths.cross is None:
            bias = self.control.cross_bias(hidden_states)
            return self.inner(attn, hidden_states, encoder_hidden_states, bias, *args, **kwargs)
        if not strengths.cross or not self.control._strength:
            return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **kwargs)
        return _attend(self.control, attn, hidden_states, encoder_hidden_states, cross=True)


@dataclass(frozen=True)
class _SelfProcessor:
    control: LayoutControl
    inner: Processor

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        lifts = self.control._strength and self.control.config.strengths.self_
        if not lifts or hidden_states.shape[1] > MAX_POSITIONS:
            return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **kwargs)
        return _attend(self.control, attn, hidden_states, hidden_states, cross=False)


def _attend(control: LayoutControl, attn: Any, hidden: Tensor, context: Tensor, cross: bool) -> Tensor:
    """A layer with lifted scores in the rows of the caption, and plain ones in the others."""
    query, key, value = attn.to_q(hidden), attn.to_k(context), attn.to_v(context)
    images = len(control.layouts)
    parts = []
    if len(query) > images:
        free_query, free_key, free_value = (split_heads(part[:-images], attn.heads) for part in (query, key, value))
        plain = functional.scaled_dot_product_attention(free_query, free_key, free_value, scale=attn.scale)
        parts.append(plain.transpose(1, 2).flatten(2))
    rows = slice(-images, None)
    parts.append(control.lifted(attn.heads, query[rows], key[rows], value[rows], attn.scale, cross))
    found: Tensor = attn.to_out[0](torch.cat(parts).to(query.dtype))
    return attn.to_out[1](found) / attn.rescale_output_factor  # type: ignore[no-any-return]
