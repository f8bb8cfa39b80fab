"""What each resolution of attention weighs, by the architecture that it comes from.

Coarse layers know what a thing is, fine ones only where colours change. Of Stable Diffusion 1 and 2 the published
recipes leave the finest out and lean on the second coarsest: FA-Seg (.15, .7, .15, 0 for 8², 16², 32², 64² at 512²
pixels), iSeg (0, .7, .3, 0), T2S (8² and 16² alone).
"""

import math
from collections.abc import Mapping

from dsfactory.stages.refine.config import EQUAL_WEIGHTS, RefineConfig
from dsfactory.stages.refine.fuse import Maps, nominal_side

LEVELS = (0.15, 0.7, 0.15)
"""Weights from the coarsest grid on; finer ones have none."""
COARSEST = 48
"""Positions of the coarsest grid from which a UNet is taken for Stable Diffusion's: 8² at 512². Smaller ones, such as
the pocket model's, keep equal weights."""


def grid_weights(maps: Maps, config: RefineConfig) -> Mapping[int, float]:
    """Weight by the side of a square grid, as :func:`.fuse.average_maps` wants it.

    Args:
        maps: whose grids are there.
        config: with ``recipe``; ``resolution_weights`` that are not the default ones go before it.
    """
    grids = sorted(maps, key=math.prod)
    like_sd = len(grids) >= len(LEVELS) and math.prod(grids[0]) >= COARSEST
    published = config.recipe == "levels" or (config.recipe != "mean" and like_sd)
    if not published or config.resolution_weights != EQUAL_WEIGHTS:
        return config.resolution_weights
    return {nominal_side(grid): weight for grid, weight in zip(grids, LEVELS, strict=False)}
