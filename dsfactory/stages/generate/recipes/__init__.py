"""Which attention is read while a model generates, and how it is averaged: recipes of published methods, in parts.

A recipe is a text such as ``heads+content``; ``mean`` is the plain mean over heads, layers and steps. Parts only read:
the image is the same to the last bit with any of them. What each is worth is measured by ``research/recipes.py``.
"""

from dataclasses import dataclass

PARTS = {
    "late": "read the second half of the steps only",
    "heads": "weight heads by what they add to the layer's output, pixel by pixel",
    "content": "divide maps by the sum over the prompt's content words",
    "block": "read the one or two layers of SD3 and FLUX that separate classes best, with image keys in the softmax",
    "concepts": "have classes and backgrounds travel as single words beside the image of SD3 and FLUX.1",
    "square": "pass maps twice along self-attention at up to 64x64",
    "sharp": "pass maps ten times along sharpened self-attention at up to 64x64",
    "edges": "keep where self-attention changes from pixel to pixel, for refine.instances=edges",
}
"""Parts of a recipe, and what each does."""


@dataclass(frozen=True)
class Recipe:
    """The parts that are asked for, see :data:`PARTS`.

    Example:
        >>> Recipe.parse("heads+content").heads
        True
    """

    late: bool = False
    heads: bool = False
    content: bool = False
    block: bool = False
    concepts: bool = False
    square: bool = False
    sharp: bool = False
    edges: bool = False

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """Read ``mean``, or parts joined by ``+``.

        Raises:
            ValueError: an unknown part, or two that exclude each other.
        """
        names = [] if text == "mean" else text.split("+")
        for name in names:
            if name not in PARTS:
                raise ValueError(f"generate.recipe has no part {name!r}: use mean, or join {', '.join(PARTS)} by '+'")
        for one, other in (("square", "sharp"), ("block", "concepts"), ("content", "concepts")):
            if {one, other} <= set(names):
                raise ValueError(f"generate.recipe: {one} and {other} are two ways of the same, choose one")
        return cls(**dict.fromkeys(names, True))


MEAN = Recipe()
"""The plain mean over heads, layers and steps."""
