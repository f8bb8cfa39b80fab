"""Where one object ends and the next begins, of self-attention while an image is made (TRACE, ICLR 2026).

Two neighbours inside one object attend to the same places; across an outline they do not. That is sharpest at the
moment when self-attention changes most: there the image decides what is a thing.
"""

import torch
from torch import Tensor

from dsfactory.stages.generate.evidence import Grid


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Kullback-Leibler divergence of rows of probabilities, over the last dimension."""
    tiny = torch.finfo(first.dtype).eps
    return (first * ((first + tiny) / (second + tiny)).log()).sum(-1)


def edge_plane(attention: Tensor, grid: Grid) -> Tensor:
    """How differently the neighbours above and below, and left and right, of each position attend.

    Args:
        attention: float32 ``(images, positions, positions)``, rows summing to 1.
        grid: height and width in positions.

    Returns:
        float32 ``(images, positions)``, each image's highest value 1; 0 without any edge.
    """
    rows = attention.view(len(attention), *grid, -1)
    padded = torch.cat([rows[:, :1], rows, rows[:, -1:]], dim=1)
    plane = divergence(padded[:, 2:], padded[:, :-2])
    padded = torch.cat([rows[:, :, :1], rows, rows[:, :, -1:]], dim=2)
    plane = (plane + divergence(padded[:, :, 2:], padded[:, :, :-2])).flatten(1)
    highest = plane.amax(1, keepdim=True)
    return plane / highest.clamp_min(torch.finfo(plane.dtype).tiny)


class EdgeWatch:
    """Finds the moment of largest change among the steps in which self-attention is read, and keeps its edges."""

    def __init__(self) -> None:
        self._grid: Grid = (0, 0)
        self._step = -1
        self._now: Tensor | None = None
        self._last: Tensor | None = None
        self._most: Tensor | None = None
        self._plane: Tensor | None = None

    def add(self, step: int, grid: Grid, attention: Tensor) -> None:
        """A layer's self-attention in a step, float32 ``(images, positions, positions)``. A finer grid begins again."""
        if grid != self._grid:
            self._grid = grid
            self._now = self._last = self._most = self._plane = None
        if self._now is None or step != self._step:
            self._close()
            self._step, self._now = step, torch.zeros_like(attention)
        self._now += attention

    def plane(self) -> tuple[Grid, Tensor] | None:
        """The grid and its edges, see :func:`edge_plane`; None when nothing was read."""
        self._close()
        self._now = None
        return None if self._plane is None else (self._grid, self._plane)

    def _close(self) -> None:
        """Compare a finished step with the one before."""
        if self._now is None:
            return
        now = self._now / self._now.sum(-1, keepdim=True)
        edges = edge_plane(now, self._grid)
        change = torch.zeros(len(now), 1, device=now.device)
        if self._last is not None:
            change = divergence(now, self._last).mean(1, keepdim=True)
        if self._plane is None or self._most is None:
            self._plane, self._most = edges, change
        else:
            more = change > self._most
            self._plane, self._most = torch.where(more, edges, self._plane), torch.maximum(change, self._most)
        self._last = now
