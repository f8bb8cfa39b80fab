"""How maps are passed along self-attention.

- By default four times at up to 48² positions (Dataset Diffusion, Nguyen et al. 2023, section 3.3).
- ``square``: twice at up to 64² (FA-Seg, GoCA).
- ``sharp``: ten times at up to 64², self-attention sharpened, the map stretched after each pass (iSeg).
"""

import torch
from torch import Tensor

from dsfactory.stages.generate.probabilities import spread
from dsfactory.stages.generate.recipes import Recipe

MAX_AFFINITY_POSITIONS = 48 * 48
"""Positions of the largest grid on which self-attention is captured: 32² at 512², 48² at 768² pixels. Where
there is none, as in Stable Diffusion 3 and FLUX above 768² pixels, whose one grid is too fine, it is not captured."""

AFFINITY_POWER = 4
"""How often a map is passed along self-attention (Dataset Diffusion, Nguyen et al. 2023, section 3.3)."""

FINE_POSITIONS = 64 * 64
"""The limit of ``square`` and ``sharp``: 67 MB an image in float32."""

SHARP_PASSES = 10
SHARPNESS = 2.0
"""Power of the probabilities: an exponentiated-gradient step that lowers each row's entropy."""


def most_positions(recipe: Recipe) -> int:
    """The finest grid on which self-attention is read, in positions."""
    return FINE_POSITIONS if recipe.square or recipe.sharp else MAX_AFFINITY_POSITIONS


def propagate(attention: Tensor, maps: Tensor, recipe: Recipe) -> Tensor:
    """Maps passed along self-attention as a recipe says; arguments and result as of :func:`.probabilities.spread`."""
    if not recipe.sharp:
        return spread(attention, maps, 2 if recipe.square else AFFINITY_POWER)
    tiny = torch.finfo(attention.dtype).tiny
    attention = attention / attention.amax(-1, keepdim=True).clamp_min(tiny)  # a power of small numbers would vanish
    attention = attention**SHARPNESS
    for _ in range(SHARP_PASSES):
        maps = spread(attention, maps, 1)
    return maps
