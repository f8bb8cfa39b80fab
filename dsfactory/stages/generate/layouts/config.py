"""Strengths of layout control."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from dsfactory.core.section import Section


@dataclass(frozen=True)
class Strengths:
    """What is done to attention.

    Attributes:
        cross: share by which cross-attention is lifted; None: class tokens are masked outside of their objects.
        self_: share by which self-attention is lifted.
        until: in which share of the steps.
        power: how fast that falls: it is times (t / T) to this power.
    """

    cross: float | None
    self_: float
    until: float
    power: float


class LayoutConfig(Section):
    """How strongly attention follows a layout. null stands for the value of the recipe."""

    recipe: Literal["own", "densediffusion"] = Field(
        "own",
        description="Where strengths that are null come from. own: class words are masked outside of their objects, "
        "self-attention is lifted by 1 in the first 40 % of the steps, in proportion to the noise. densediffusion: as "
        "published (cross 1, self 0.3, until 0.3, power 5).",
    )
    cross: float | None = Field(
        None, ge=0, le=2, description="Share by which cross-attention is lifted; own: masked instead, at all steps."
    )
    self: float | None = Field(None, ge=0, le=2, description="Share by which self-attention is lifted.")
    until: float | None = Field(None, ge=0, le=1, description="Share of the steps, from the first, in which it is.")
    power: float | None = Field(None, ge=0, le=10, description="Power of the noise level by which it falls.")
    scale: float = Field(1.0, ge=0, le=2, description="Strength of a ControlNet.")
    palette: str | None = Field(
        None,
        description="The colours that a ControlNet knows classes by: ade20k, or a file with a line `dog:192,0,0::` "
        "each. null: labelmap.txt in its folder.",
    )
    arrange: bool | None = Field(
        None,
        description="Objects are moved, scaled and flipped, and put together as `objects` says. null: those of a run "
        "are, layouts of a folder stay as they are.",
    )
    sizes: tuple[float, float] = Field(
        (0.06, 0.3), description="Least and largest share of the image that an arranged or random object covers."
    )

    @property
    def strengths(self) -> Strengths:
        """The values that count."""
        base = Strengths(None, 1.0, 0.4, 1.0) if self.recipe == "own" else Strengths(1.0, 0.3, 0.3, 5.0)
        return Strengths(
            base.cross if self.cross is None else self.cross,
            base.self_ if self.self is None else self.self,
            base.until if self.until is None else self.until,
            base.power if self.power is None else self.power,
        )
