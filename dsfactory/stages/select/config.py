"""Settings of the select stage."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section
from dsfactory.segment.config import BUNDLED

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class SelectConfig(Section):
    """How many samples are chosen, and by what."""

    num: int = Field(
        100, ge=1, description="Samples that are chosen. A larger number adds to the choice.",
        json_schema_extra=flag(Panel.WHAT),
    )  # fmt: skip
    by: Literal["cover", "cluster", "random", "near-real", "hard"] = Field(
        "cover",
        description="cover: each sample stands for others (many wanted). cluster: the middles of ever smaller groups "
        "(few wanted). near-real: those that stand for the images in real. hard: the judges fail and the label is "
        "trusted. random: by the run's seed.",
        json_schema_extra=flag(Panel.WHAT),
    )
    per: str = Field(
        "class",
        description="What takes turns: class, all (nothing), or a column of the run's rows that holds a word per "
        "sample, such as domain.",
        json_schema_extra=flag(Panel.WHAT, metavar="class|all|COLUMN", offers=("class", "all")),
    )
    real: str | None = Field(
        None,
        description="A folder of real images, without labels, for near-real.",
        json_schema_extra=flag(Panel.WHAT, metavar="DIR", file=True, affects_output=False),
    )
    trust: Share = Field(
        0.2,
        description="Share of each class that is left out because its labels are the least trusted. random takes all, "
        "hard the better half.",
        json_schema_extra=flag(Panel.LABELS),
    )
    judges: tuple[str, ...] = Field(
        (),
        description="For hard: segmentation checkpoints of transformers with the run's class names (folders), and runs "
        "that were filtered. The networks of this run's filter are one judge too; two are needed.",
        json_schema_extra=flag(Panel.LABELS, metavar="PATH,PATH"),
    )
    features: str = Field(
        BUNDLED,
        description="What compares images: efficientnet-lite0, which comes with dsfactory, or the folder of a CLIP or "
        "DINO model of transformers.",
        json_schema_extra=flag(Panel.LABELS, offers=(BUNDLED,), path=True),
    )
    label_weight: float = Field(
        0.3, ge=0.0, le=1.0, description="What the label (size, place, number of objects) counts beside the image."
    )
    duplicate_distance: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="Images are near-copies when no larger share of the bits of their perceptual hashes differs.",
    )

    @model_validator(mode="after")
    def _check_real(self) -> "SelectConfig":
        if self.by == "near-real" and self.real is None:
            raise ValueError("select.by near-real compares with real images: name their folder with --real DIR")
        return self
