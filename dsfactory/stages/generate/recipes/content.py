"""Maps as shares of what a pixel gives to the prompt's content words (GoCA, CVPR 2026).

Most of a pixel's attention goes to the start token and to what fills the prompt up, by how much differs from pixel to
pixel. Divided by the sum over the content words, a class's map says which of the things that the prompt names a pixel
takes for its own.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from dsfactory.stages.generate.evidence import Grid
from dsfactory.stages.generate.tokens import Spans

_WORDS = """
a an the this that these those some any each every no and or but nor with without of on in at by to from into onto over
under near next beside behind between through across around up down out off for as is are was were be being been has
have had do does it its he his she her they their them there here who which while one very
"""
FUNCTION_WORDS = frozenset(_WORDS.split())
"""English words that name no thing, place or quality."""


def content_spans(text: str) -> list[Spans]:
    """Where each of a text's content words is."""
    words = re.finditer(r"[^\W\d_]+", text)
    return [[word.span()] for word in words if word[0].lower() not in FUNCTION_WORDS]


def with_content(weights: Tensor, content: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Classes' token weights with one more column: the sum over content words, each the mean over its tokens.

    Args:
        weights: float32 ``(images, tokens, classes)``.
        content: per image and content word, its tokens.
    """
    column = torch.zeros(*weights.shape[:2], 1)
    for image, words in enumerate(content):
        for tokens in words:
            column[image, list(tokens)] += 1.0 / max(1, len(tokens))
    return torch.cat([weights, column.to(weights.device)], dim=2)


def rescaled(maps: dict[Grid, Tensor]) -> dict[Grid, Tensor]:
    """Class maps divided by the last column, which goes.

    Args:
        maps: per grid float32 ``(images, positions, classes + 1)``.
    """
    tiny = torch.finfo(torch.float32).tiny
    return {grid: values[..., :-1] / values[..., -1:].clamp_min(tiny) for grid, values in maps.items()}
