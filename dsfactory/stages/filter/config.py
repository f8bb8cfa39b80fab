"""Settings of the filter stage."""

from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from dsfactory.core.config import Section
from dsfactory.segment.config import SegmentConfig

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _check_keep(value: Any) -> Any:
    """Read a number that is given as text, and say in one line what ``keep`` may be."""
    with suppress(TypeError, ValueError):
        share = float(value)
        if 0 < share <= 1:
            return share
    if value != "auto":
        raise ValueError(f"keep {value!r}: give 'auto' or a share above 0 and up to 1, such as 0.3")
    return value


class FilterConfig(Section):
    """Which samples are kept, and which of their pixels."""

    folds: int = Field(
        3, ge=2, le=20, description="Parts of the run; each is judged by a network that was trained on the others."
    )
    segment: SegmentConfig = Field(
        default_factory=lambda: SegmentConfig(steps=800, batch_size=8),
        description="The network that judges, and its training in each fold.",
    )
    device: str = Field(
        "auto", description="Where the networks train: auto, cpu, cuda …", json_schema_extra={"affects_output": False}
    )
    keep: Annotated[Literal["auto"] | float, BeforeValidator(_check_keep)] = Field(
        "auto",
        description="Share of each class that is kept, best agreement first (DiffuMask keeps 0.3); auto drops what "
        "falls off from its class, so that a clean run loses little and a noisy one much.",
    )
    min_agreement: Share = Field(
        0.6, description="With keep auto: least agreement of a label with the judging network, over the class's median."
    )
    min_quality: Share = Field(
        0.35, description="With keep auto: least label quality by cleanlab, over the class's median."
    )
    min_area: Share = Field(0.01, description="Smallest share of the image that a sample's first class may cover.")
    max_area: Share = Field(0.9, description="Largest share of the image that labelled objects may cover.")
    duplicate_distance: Share = Field(
        0.1, description="Images whose perceptual hashes differ in no larger share of bits are near-duplicates."
    )
    min_evidence: Share = Field(
        0.25, description="How surely the judging network must see the class somewhere, over the class's median."
    )
    clip: str | None = Field(
        None,
        description="A CLIP checkpoint of transformers (folder or hub id, safetensors) that compares image and class "
        "name; none leaves it out.",
    )
    min_similarity: Share = Field(
        0.1, description="Least probability that CLIP may give each class of the image against the run's others."
    )
    pixel_loss: float = Field(
        1.25,
        ge=0.0,
        description="Pixels whose loss exceeds so many times the mean of their class are void, but for those of a mere "
        "outline; 0: none.",
    )

    @model_validator(mode="after")
    def _check_areas(self) -> "FilterConfig":
        if self.min_area >= self.max_area:
            raise ValueError(f"filter.min_area {self.min_area} is not below max_area {self.max_area}")
        return self
