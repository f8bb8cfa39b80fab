"""Settings of the splice stage."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]

MAX_CELLS = 8
"""Most rows and most columns of a mosaic."""

_GRID = re.compile(r"([1-9])x([1-9])")

PAPER_MIX = {"1x2": 1.5, "2x1": 1.5, "2x2": 3.0, "3x3": 4.0, "5x5": 3.0, "8x8": 1.0}
"""The six grids of DiffuMask (arXiv 2303.11681, section 3.4) in the proportions of its published scripts: 3000 of 1×2
and 2×1 together, 3000, 4000, 3000, 1000."""


def grid_of(kind: str) -> tuple[int, int]:
    """``"3x2"`` as ``(3, 2)``: rows and columns.

    Raises:
        ValueError: one sentence for the user.
    """
    match = _GRID.fullmatch(kind)
    rows, columns = (int(part) for part in match.groups()) if match else (0, 0)
    if not (1 <= rows <= MAX_CELLS and 1 <= columns <= MAX_CELLS and rows * columns > 1):
        raise ValueError(
            f"{kind[:20]!r} is no grid of a mosaic: write rows x columns such as 2x2, at most {MAX_CELLS}x{MAX_CELLS}"
        )
    return rows, columns


def _plain_mix(value: Any) -> Any:
    """Accept ``"2x2=3,3x3=1"`` and ``"2x2,3x3"`` beside a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the grid {twice[:20]!r} is named twice in the mix")
    return {name: weight.strip() if equals else 1.0 for name, (_, equals, weight) in zip(names, pairs, strict=True)}


def _check_mix(mix: Mapping[str, float]) -> Mapping[str, float]:
    for kind in mix:
        grid_of(kind)
    if not any(mix.values()):
        raise ValueError("the mix has no grid with a weight above 0: write it as 2x2=3,3x3=1")
    return mix


class SpliceConfig(Section):
    """How kept samples become mosaics and paste compositions."""

    num: int = Field(
        100,
        ge=0,
        le=10_000_000,
        description="Mosaics that the run is to have. 0: none.",
        json_schema_extra=flag(Panel.WHAT, affects_output=False),
    )
    paste: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="Images with pasted objects that the run is to have.",
        json_schema_extra=flag(Panel.WHAT, affects_output=False),
    )
    size: int | None = Field(
        None,
        ge=64,
        le=4096,
        description="Longer side of the results in pixels. null: that of the run's images.",
        json_schema_extra=flag(
            Panel.LOOK, help="Longer side of the results in pixels.", default="that of the run's images"
        ),
    )
    mix: Annotated[dict[str, Weight], BeforeValidator(_plain_mix), AfterValidator(_check_mix)] = Field(
        PAPER_MIX,
        description="Grids of the mosaics (rows x columns) with their weights. The defaults are DiffuMask's. Those "
        "whose objects would be too small (min_object) are left out.",
        json_schema_extra=flag(
            Panel.LOOK,
            help="Grids (rows x columns) with their weights: 2x2=3,3x3=1.",
            default="DiffuMask's, from 1x2 to 8x8, as far as objects stay large enough",
        ),
    )
    min_object: float = Field(
        12.0,
        ge=0.0,
        description="Grids in which half of the objects or more would be smaller are left out: the side in pixels of a "
        "square as large as the object. 0: none.",
        json_schema_extra={"before": 0.0},
    )
    val_share: Fraction = Field(
        0.1,
        description="Samples that an export with this share puts into val are not used. Exports with a larger share "
        "need other splices.",
        json_schema_extra=flag(Panel.WHAT, help="Use no sample that an export with this share puts into val."),
    )
    blur: Fraction = Field(0.2, description="Share of the results that are blurred.")
    occlusion: Fraction = Field(
        0.2, description="Share of the results in which a block is covered by another sample, with its labels."
    )
    perspective: Fraction = Field(0.2, description="Share of the results that are seen from another viewpoint.")
    paste_objects: int = Field(3, ge=1, le=20, description="Most objects that are pasted onto one background.")
    scale_low: float = Field(0.25, gt=0.0, le=4.0, description="Smallest factor by which a pasted object is scaled.")
    scale_high: float = Field(0.8, gt=0.0, le=4.0, description="Largest factor by which a pasted object is scaled.")
    feather: float = Field(
        1.0, ge=0.0, le=20.0, description="Softness of a pasted object's edge, in pixels of a 512² image."
    )
    min_area: int = Field(16, ge=1, description="Objects with fewer pixels left become ignore (255).")

    @model_validator(mode="after")
    def _check_scale(self) -> "SpliceConfig":
        if self.scale_low > self.scale_high:
            raise ValueError(f"splice.scale_low {self.scale_low} is above scale_high {self.scale_high}: swap them")
        return self
