"""Reading cross-attention while a UNet or a transformer draws, without touching what it draws.

The idea is DAAM's (Tang et al. 2022, arXiv 2210.04885): the cross-attention probabilities of a word's tokens,
averaged over heads, layers and steps, show where in the image the word went. Hooks on the query and key
projections pick up what the attention processor computes anyway; a hook on the attention layer then
recomputes, beside it, the probabilities of a few tokens. The processor itself is not replaced, so the
image is the same to the last bit under any processor (SDPA, sliced, xformers, with LoRA), and there is
nothing to put back but the hooks.

Layers may rest: caches (DeepCache, TGATE, those of diffusers) give what a layer made in an earlier step. A map is the
mean over the times that its layers did compute something.
"""

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dsfactory.stages.generate.evidence import Evidence, Grid, within_limit
from dsfactory.stages.generate.fused import FusedReads
from dsfactory.stages.generate.observed import ObservedLayer
from dsfactory.stages.generate.probabilities import (
    add_self_attention,
    attention_grid,
    fuse_grids,
    token_probabilities,
)
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes import MEAN, Recipe
from dsfactory.stages.generate.recipes.content import rescaled
from dsfactory.stages.generate.recipes.edges import EdgeWatch
from dsfactory.stages.generate.recipes.heads import head_weights
from dsfactory.stages.generate.recipes.propagation import most_positions, propagate

MIN_FUSED_SIDE = 16
"""Grids whose longer side is shorter say little about shape and stay out of the map that affinity starts from."""


Reader: TypeAlias = Callable[[ObservedLayer, Tensor, Tensor], None]
"""What is done with a layer's query and key."""


@dataclass
class _Mean:
    """A running mean on the device."""

    total: Tensor
    count: int = 0


class AttentionCapture:
    """Capture a network's cross-attention to classes while it is called inside a ``with`` block.

    Enter it after whatever changes the network (LoRA, attention processors, caches). Every call of it in the block
    counts as a step. Its batch must be the query's images, or twice as many with classifier-free guidance.

    Args:
        unet: a ``UNet2DConditionModel``, ``PixArtTransformer2DModel`` or ``SanaTransformer2DModel``.
        query: which tokens to follow; its tensors are on the UNet's device.
        recipe: which attention is read, and how it is averaged; the plain mean by default.
        cross_steps: numbers of the steps in which cross-attention is read; all by default.
        affinity_steps: numbers of the steps in which self-attention is read too; none by default.
        pooled: the batch holds versions of one image: give the mean of their maps, as if of one image.
        timed: measure the capture's own time in :attr:`seconds`; waits for the device around each layer.
        guided: where the captions are, with guidance: see :attr:`dsfactory.models.families.Family.guided`.

    Example:
        >>> with AttentionCapture(pipeline.unet, query) as capture:  # doctest: +SKIP
        ...     images = pipeline(prompts).images
        >>> capture.evidence()[0].cross[16, 16].shape  # doctest: +SKIP
        (1, 16, 16)
    """

    def __init__(
        self,
        unet: nn.Module,
        query: ClassQuery,
        *,
        recipe: Recipe = MEAN,
        cross_steps: Collection[int] | None = None,
        affinity_steps: Collection[int] = (),
        pooled: bool = False,
        timed: bool = False,
        guided: Literal["last", "first", "turns"] = "last",
    ) -> None:
        self.seconds = 0.0
        """Time spent in the capture itself, when it is timed."""
        self._unet = unet
        self._query = query
        self._images = len(query.classes)
        self._recipe = recipe
        self._cross_steps = None if cross_steps is None else frozenset(cross_steps)
        self._affinity_steps = frozenset(affinity_steps)
        self._pooled = pooled
        self._timed = timed
        self._handles: list[RemovableHandle] = []
        self._layers: list[ObservedLayer] = []
        self._turns = guided == "turns"
        self._rows = slice(0, self._images) if guided == "first" else slice(-self._images, None)
        self._calls = 0
        self._steps = 0
        self._latent: Grid = (0, 0)
        self._fused = FusedReads(query.weights, query.mask) if query.weights.device.type != "cpu" else None
        self._cross: dict[Grid, _Mean] = {}
        self._self: dict[Grid, Tensor] = {}
        self._edges = EdgeWatch()

    def __enter__(self) -> Self:
        self._observe_steps()
        for name, module in self._unet.named_modules():
            if name.endswith(".attn2"):
                self._observe(module, ObservedLayer(name, module), self._read_cross)
            elif name.endswith(".attn1") and self._affinity_steps:
                self._observe(module, ObservedLayer(name, module), self._read_self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def maps(self) -> tuple[dict[Grid, Tensor], dict[Grid, Tensor]]:
        """Cross-attention and affinity maps so far, per grid ``(h, w)``, still on the device.

        Returns:
            Two dicts of float32 ``(images, h * w, classes)``, one image when they are pooled: see :class:`Evidence` for
            what they hold. The second is empty when self-attention was not read.

        Raises:
            RuntimeError: the network was not called, or some of its layers compute attention without their own query
                and key projections (as after ``fuse_qkv_projections``), so that nothing could be read there.
        """
        silent = [layer.name for layer in self._layers if self._steps and not layer.reads]
        if silent or not self._steps:
            raise RuntimeError(f"attention capture saw no query and key projections in {silent or 'any layer'}")
        if self._fused is not None:
            self._fused.finish()
        cross = {grid: self._pool(mean.total) / mean.count for grid, mean in sorted(self._cross.items(), reverse=True)}
        cross = rescaled(cross) if self._query.content else cross
        affinity = {}
        for grid, total in self._self.items():
            shapely = {other: maps for other, maps in cross.items() if max(other) >= MIN_FUSED_SIDE}
            affinity[grid] = propagate(self._pool(total), fuse_grids(shapely or cross, grid), self._recipe)
        return cross, affinity

    def _pool(self, maps: Tensor) -> Tensor:
        return maps.mean(0, keepdim=True) if self._pooled else maps

    def evidence(self) -> list[Evidence]:
        """What was captured, per image; the one moment at which anything leaves the device.

        Raises:
            RuntimeError: as :meth:`maps`.
        """
        start = self._clock()
        cross, affinity = self.maps()
        parts = [("cross", *item) for item in cross.items()] + [("affinity", *item) for item in affinity.items()]
        if self._recipe.edges and (edges := self._edges.plane()) is not None:
            parts.append(("edges", edges[0], edges[1][..., None]))
        packed = torch.cat([maps.transpose(1, 2).flatten(1) for _, _, maps in parts], dim=1).half().cpu()
        planes: dict[str, dict[Grid, Any]] = {"cross": {}, "affinity": {}, "edges": {}}
        sizes = [maps[0].numel() for _, _, maps in parts]
        for (kind, grid, maps), plane in zip(parts, torch.split(packed, sizes, dim=1), strict=True):
            planes[kind][grid] = plane.view(-1, maps.shape[2], *grid).numpy()
        found = [
            Evidence(
                cross={grid: plane[image, :count] for grid, plane in planes["cross"].items()},
                affinity={grid: plane[image, :count] for grid, plane in planes["affinity"].items()},
                edges={grid: plane[image] for grid, plane in planes["edges"].items()},
            )
            for image, count in enumerate(self._query.classes[: len(packed)])
        ]
        self.seconds += self._clock() - start
        return found

    def _observe(self, attention: Any, layer: ObservedLayer, read: Reader) -> None:
        layer.scale = attention.scale
        sources = {"query": attention.norm_q or attention.to_q, "key": attention.norm_k or attention.to_k}
        if self._recipe.heads and read == self._read_cross:
            self._handles.append(attention.to_out[0].register_forward_hook(layer.keep_mixed))
        self._hook(attention, layer, read, sources)

    def _hook(self, attention: Any, layer: ObservedLayer, read: Reader, sources: dict[str, nn.Module]) -> None:
        """Keep the outputs of some of a layer's modules, and read them when it is done."""
        self._layers.append(layer)
        self._handles += [module.register_forward_hook(partial(layer.keep, part)) for part, module in sources.items()]
        self._handles.append(attention.register_forward_hook(partial(self._finish_layer, layer, read)))

    def _observe_steps(self) -> None:
        self._handles.append(self._unet.register_forward_pre_hook(self._start_step, with_kwargs=True))

    def _start_step(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sample: Tensor = args[0] if args else kwargs["sample"]
        self._count_step(len(sample))
        self._latent = (sample.shape[-2], sample.shape[-1])

    def _count_step(self, batch: int) -> None:
        if batch not in (self._images, 2 * self._images):
            raise ValueError(f"a batch of {batch} is neither {self._images} nor twice as many")
        self._calls += 1
        self._steps += self._reading

    @property
    def _reading(self) -> bool:
        """Whether the call of the moment is about the captions."""
        return not self._turns or self._calls % 2 == 1

    @property
    def _self_due(self) -> int:
        """In how many of the steps so far self-attention was wanted."""
        return sum(step < self._steps for step in self._affinity_steps)

    def _finish_layer(
        self,
        layer: ObservedLayer,
        read: Reader,
        module: nn.Module,
        args: tuple[Any, ...],
        output: Tensor,
    ) -> None:
        if not self._reading:
            layer.parts.clear()
            return
        projections = layer.take(self._rows)
        if projections is None:
            return
        start = self._clock()
        read(layer, *projections)
        self.seconds += self._clock() - start

    def _clock(self) -> float:
        """The time once the device has done what it was told; always 0 when nothing is timed."""
        if not self._timed:
            return 0.0
        if self._query.weights.is_cuda:
            torch.cuda.synchronize(self._query.weights.device)
        return time.perf_counter()

    def _read_cross(self, layer: ObservedLayer, query: Tensor, key: Tensor) -> None:
        grid = attention_grid(self._latent, query.shape[1])
        if not self._wants_cross(grid):
            return
        ask = self._query
        shares = None
        if layer.mixed is not None:
            shares = head_weights(layer.mixed, layer.attention.to_out[0].weight, layer.heads)
            layer.mixed = None
        mean = self._mean_of(grid)
        mean.count += 1
        if self._fused is None or query.dtype == torch.float32 or shares is not None:
            mean.total += token_probabilities(query, key, ask.weights, layer.heads, layer.scale, ask.mask, shares)
        else:
            self._fused.add(mean.total, query, key, layer.heads, layer.scale)
        if ask.states is not None and ask.prompted is not None and ask.state_weights is not None:
            queries, keys = query.index_select(0, ask.prompted), self._class_keys(layer, ask.states)
            shares = None if shares is None else shares.index_select(0, ask.prompted)
            weights, mask = ask.state_weights, ask.state_mask
            more = token_probabilities(queries, keys, weights, layer.heads, layer.scale, mask, shares)
            mean.total.index_add_(0, ask.prompted, more)

    def _wants_cross(self, grid: Grid) -> bool:
        early = self._cross_steps is not None and self._steps - 1 not in self._cross_steps
        return not early and self._follows(grid)

    def _mean_of(self, grid: Grid) -> _Mean:
        if grid not in self._cross:
            weights = self._query.weights
            total = torch.zeros(self._images, math.prod(grid), weights.shape[2], device=weights.device)
            self._cross[grid] = _Mean(total)
        return self._cross[grid]

    @torch.no_grad()
    def _class_keys(self, layer: ObservedLayer, states: Tensor) -> Tensor:
        """The class prompts' keys in a layer; asked for while the network draws, when its weights are on the device."""
        if layer.class_keys is None:
            network: Any = self._unet
            if getattr(network, "caption_projection", None) is not None:  # PixArt, SANA
                states = network.caption_projection(states)
            if getattr(network, "caption_norm", None) is not None:
                states = network.caption_norm(states)
            # Not through the modules' own calls: hooks would take these keys for the caption's.
            layer.class_keys = layer.attention.to_k.forward(states)
            if layer.attention.norm_k is not None:
                layer.class_keys = layer.attention.norm_k.forward(layer.class_keys)
        return layer.class_keys

    def _follows(self, grid: Grid) -> bool:
        """Whether a grid is captured: each within the limit; while none is, the coarsest so far, for evidence there
        has to be: SD3 and FLUX have one grid only, and Stable Diffusion XL none coarser than 1/32 of the picture."""
        if grid in self._cross:
            return True
        if not within_limit(grid) and any(math.prod(other) < math.prod(grid) for other in self._cross):
            return False
        self._cross = {other: mean for other, mean in self._cross.items() if within_limit(other)}
        return True

    def _read_self(self, layer: ObservedLayer, query: Tensor, key: Tensor) -> None:
        positions = query.shape[1]
        if layer.self_reads >= self._self_due or positions > most_positions(self._recipe):
            return
        layer.self_reads = self._self_due
        grid = attention_grid(self._latent, positions)
        if all(positions > height * width for height, width in self._self):
            # The largest grid so far. It may come late: some UNets attend to their finest grid on the way up only.
            self._self = {grid: torch.zeros(self._images, positions, positions, device=query.device)}
        if grid in self._self:
            self._add_self(grid, query, key, layer)

    def _add_self(self, grid: Grid, query: Tensor, key: Tensor, layer: ObservedLayer) -> None:
        if not self._recipe.edges:
            add_self_attention(self._self[grid], query, key, layer.heads, layer.scale)
            return
        one = torch.zeros_like(self._self[grid])
        add_self_attention(one, query, key, layer.heads, layer.scale)
        self._self[grid] += one
        self._edges.add(self._steps, grid, self._pool(one))


def spaced_steps(steps: int, count: int) -> tuple[int, ...]:
    """Evenly spaced step numbers: ``spaced_steps(25, 4)`` gives ``(3, 9, 15, 21)``."""
    count = min(steps, count)
    return tuple((2 * index + 1) * steps // (2 * count) for index in range(count))
