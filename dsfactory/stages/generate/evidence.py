"""What the attention of a diffusion model says about where classes are, as arrays and as bytes."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

Grid = tuple[int, int]
"""Height and width of an attention map in tokens."""

MAX_SIDE = 64
"""Square grids are captured up to so many positions a side (DiffuMask uses 16, 32 and 64)."""


KINDS = ("cross", "affinity", "edges")
"""Of maps."""


def within_limit(grid: Grid) -> bool:
    """Whether a grid is no finer than evidence is to be: its shorter side as of a square, its area at most of two.

    So a picture up to twice as long as wide has the grids of a square one as wide, and a class of it takes 26 KB at
    most.

    Example:
        >>> [within_limit(grid) for grid in ((64, 64), (96, 64), (55, 74), (80, 80), (64, 190))]
        [True, True, True, False, False]
    """
    return min(grid) <= MAX_SIDE and math.prod(grid) <= 2 * MAX_SIDE**2


@dataclass(frozen=True)
class Evidence:
    """Attention maps of one image, per class, in the order in which the classes were asked for.

    Attributes:
        cross: per captured grid ``(h, w)``, float16 of shape ``(classes, h, w)``: the softmax probability of the
            class's tokens, averaged over tokens, heads, layers and steps, or as ``generate.recipe`` says; not
            normalised.
        affinity: the class's maps spread along self-attention at one grid, float16 of shape ``(classes, h, w)``,
            each stretched to [0, 1]; empty when self-attention was not captured.
        edges: at one grid, how much self-attention changes from position to position, float16 ``(1, h, w)``, up to 1;
            empty unless asked for.
    """

    cross: dict[Grid, NDArray[np.float16]]
    affinity: dict[Grid, NDArray[np.float16]] = field(default_factory=dict)
    edges: dict[Grid, NDArray[np.float16]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """A safetensors file with tensors ``cross/{h}x{w}``, ``affinity/{h}x{w}`` …; equal maps give equal bytes."""
        tensors = {
            f"{kind}/{height}x{width}": np.ascontiguousarray(maps)
            for kind in KINDS
            for (height, width), maps in sorted(getattr(self, kind).items(), reverse=True)
        }
        return save(tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Evidence":
        """Read what :meth:`to_bytes` wrote.

        Raises:
            safetensors.SafetensorError: the bytes are not a safetensors file.
        """
        kinds: dict[str, dict[Grid, NDArray[np.float16]]] = {kind: {} for kind in KINDS}
        for name, maps in load(data).items():
            kind, _, grid = name.partition("/")
            height, _, width = grid.partition("x")
            kinds[kind][int(height), int(width)] = maps
        return cls(**kinds)
