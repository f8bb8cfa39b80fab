"""Settings of the defects stage."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section

Shape = Literal["line", "crack", "blob", "blotch", "edge"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

SHAPES: dict[str, Shape] = {
    "scratch": "line", "hair": "line", "cut": "line", "thread": "line", "scuff": "line",
    "crack": "crack", "fracture": "crack",
    "dent": "blob", "hole": "blob", "bubble": "blob", "bump": "blob", "spot": "blob",
    "stain": "blotch", "rust": "blotch", "dirt": "blotch", "contamination": "blotch", "corrosion": "blotch",
    "chip": "edge", "nick": "edge", "bite": "edge", "broken": "edge",
}  # fmt: skip
"""Shapes of kinds; others are blotches."""


class DefectsConfig(Section):
    """Which flaws are painted into which pictures."""

    clean: str | None = Field(
        None,
        description="A folder of pictures without flaws, or one picture. They are only read.",
        json_schema_extra=flag(
            Panel.WHAT, "DIR", help="A folder of pictures without flaws, or one picture.", file=True, argument=True,
            affects_output=False,
        ),
    )  # fmt: skip
    kinds: tuple[str, ...] = Field(
        (),
        description="Kinds of flaws: the run's classes.",
        json_schema_extra=flag(Panel.WHAT, metavar="KIND,KIND", affects_output=False),
    )
    per: int = Field(
        4, ge=1, le=1000, description="Samples that are made of each picture.", json_schema_extra=flag(Panel.WHAT)
    )
    clean_share: Share = Field(
        0.5, description="Share of the samples that are left clean.", json_schema_extra=flag(Panel.WHAT)
    )
    source: Literal["texture", "noise"] = Field(
        "texture",
        description="What flaws are made of: texture blends another surface in (Perlin noise, or another picture), "
        "noise changes the picture's own (darker, lighter, rougher, as if lit from a side).",
        json_schema_extra=flag(Panel.LOOK),
    )
    where: str = Field(
        "auto",
        description="Where flaws may lie: auto (on the object, found against the colour of the border), all, or a "
        "folder with a mask of the same name for each picture.",
        json_schema_extra=flag(Panel.LOOK, metavar="auto|all|DIR", offers=("auto", "all"), path=True),
    )
    strength: tuple[float, float] = Field(
        (0.2, 0.8),
        description="How much of the picture a flaw replaces, from and to.",
        json_schema_extra=flag(Panel.LOOK, metavar="FROM,TO"),
    )
    size: tuple[float, float] = Field(
        (0.002, 0.05),
        description="Share of the image that a flaw takes, from and to.",
        json_schema_extra=flag(Panel.LOOK, metavar="FROM,TO"),
    )
    shapes: dict[str, Shape] = Field(
        {}, description="Shapes of kinds, such as {nick: edge}: line, crack, blob, blotch or edge."
    )
    visible: float = Field(
        8.0, gt=0.0, le=255.0, description="A pixel has changed visibly by more than this, in levels of 255."
    )

    @field_validator("strength", "size")
    @classmethod
    def _check_range(cls, values: tuple[float, float]) -> tuple[float, float]:
        if not 0 < values[0] <= values[1] <= 1:
            raise ValueError(
                f"give two shares, the smaller one first, such as 0.2,0.8 (got {values[0]:g},{values[1]:g})"
            )
        return values

    def shape_of(self, kind: str) -> Shape:
        """The shape of a kind, by its name or by a word of it."""
        named = {**SHAPES, **self.shapes}
        words = [kind, *kind.split()[::-1]]
        return next((named[word] for word in words if word in named), "blotch")
