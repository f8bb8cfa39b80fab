"""Which of several concepts each place of a picture attends to, read beside a pass of the UNet.

A layer's queries are the picture's own: they do not depend on which concept is asked about. So they are compared with
the keys of all concepts at once, each encoded alone, and a softmax over these makes the concepts compete; the pass
itself knows nothing of them. ConceptAttention (Helbling et al. 2025, arXiv 2502.04320) does the like with transformers.
"""

from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from dsfactory.stages.generate.evidence import Grid
from dsfactory.stages.generate.probabilities import attention_grid, token_probabilities


class ConceptCapture:
    """Read attention to concepts while a UNet is called inside a ``with`` block.

    Args:
        unet: a ``UNet2DConditionModel``.
        concepts: text encoder states, ``(concepts, features)``, on its device.
        latent: height and width of what the UNet is called with.
    """

    def __init__(self, unet: nn.Module, concepts: Tensor, latent: Grid) -> None:
        self._layers = read_layers(unet)
        self._concepts = concepts
        self._latent = latent
        self._weights = torch.eye(len(concepts), device=concepts.device)
        self._handles: list[RemovableHandle] = []
        self._sum = torch.zeros(len(concepts), *latent, device=concepts.device)
        self._count = 0

    def __enter__(self) -> Self:
        self._handles = [layer.to_q.register_forward_hook(partial(self._read, layer)) for layer in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def maps(self) -> Tensor:
        """Mean over layers, heads, calls and the batch: float32 ``(concepts, h, w)``, summing to 1 at each place."""
        return self._sum / self._count

    @torch.no_grad()
    def _read(self, layer: Any, module: nn.Module, args: tuple[Any, ...], query: Tensor) -> None:
        keys = layer.to_k(self._concepts).expand(len(query), -1, -1)
        weights = self._weights.expand(len(query), -1, -1)
        shares = token_probabilities(query, keys, weights, layer.heads, layer.scale).mean(0)
        planes = shares.T.reshape(1, -1, *attention_grid(self._latent, query.shape[1]))
        self._sum += functional.interpolate(planes, size=self._latent, mode="bilinear")[0]
        self._count += 1


def read_layers(unet: nn.Module) -> list[Any]:
    """The cross-attention layers on the UNet's way up, without the last one.

    Measured with the pocket model: on the way down they tell classes apart less well, and neither the middle nor the
    last layer, after which nothing is decided any more, tells them apart at all (`research/presence_study.py`).
    """
    up = [module for name, module in unet.named_modules() if name.startswith("up_blocks.") and name.endswith(".attn2")]
    return up[:-1] or up
