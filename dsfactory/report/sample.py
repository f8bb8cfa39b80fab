"""A sample as the report sees it, whichever stage it has reached."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from dsfactory.errors import DamagedShard

State = Literal["kept", "dropped", "rejected", "failed", "drawn", "planned"]
STATES: dict[State, str] = {
    "kept": "has a mask and is in the dataset",
    "dropped": "has a mask and was filtered out",
    "rejected": "no mask was found",
    "failed": "could not be drawn or read",
    "drawn": "has an image and no mask yet",
    "planned": "has a prompt and no image yet",
}
"""What became of a sample, best first, and what that means."""


def _finite(value: Any) -> Any:
    """None for NaN and infinity, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
PerClass = Annotated[tuple[Number, ...] | None, BeforeValidator(lambda value: value or None)]
"""One value per class; an empty list is none."""

PER_CLASS = ("agreement", "claim", "area", "threshold", "peak", "iou", "evidence", "similarity")
"""Scores that have a value per class, best known first."""


class Sample(BaseModel):
    """A row of the furthest stage; columns of stages it has not reached are None.

    Scores: :class:`dsfactory.stages.refine.mask.RefinedMask`, :class:`dsfactory.stages.filter.scores.Score`; tuples
    hold one value per class, in the order of ``classes``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    number: int
    class_name: str
    classes: tuple[str, ...]
    prompt: str
    source: str
    style: str | None = None
    scene: str | None = None
    weather: str | None = None
    seed: int
    image_seed: int | None = None
    status: Literal["ok", "rejected", "failed", "dropped"] | None = None
    reason: str | None = None
    agreement: PerClass = None
    claim: PerClass = None
    area: PerClass = None
    threshold: PerClass = None
    peak: PerClass = None
    components: tuple[int, ...] | None = None
    void: Number = None
    iou: PerClass = None
    evidence: PerClass = None
    similarity: PerClass = None
    quality: Number = None
    rank: Number = None
    duplicate_of: str | None = None

    @model_validator(mode="after")
    def _check_lengths(self) -> "Sample":
        for name in (*PER_CLASS, "components"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.classes):
                raise ValueError(f"{len(values)} values of {name} for {len(self.classes)} classes")
        return self

    @property
    def state(self) -> State:
        if self.status is None:
            return "planned"
        if self.status != "ok":
            return self.status
        return "drawn" if self.threshold is None else "kept"

    @property
    def why(self) -> str:
        """Why it is not in the dataset; empty for one that is, or that is on its way."""
        return self.reason or ""

    @property
    def score(self) -> float | None:
        """Agreement of the class that agrees least; None before there is a mask."""
        return self.scores().get("agreement")

    def scores(self) -> dict[str, float]:
        """A number per score that it has: of the weakest class where there is one per class, the sum for the area."""
        found: dict[str, float] = {}
        for name in PER_CLASS:
            values = [value for value in getattr(self, name) or () if value is not None]
            if values:
                found[name] = sum(values) if name == "area" else min(values)
        for name in ("void", "quality", "rank"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        return found


def parse_sample(row: dict[str, Any], classes: frozenset[str], place: str) -> Sample:
    """A row of a shard as a sample.

    Args:
        row: as the shard's table holds it.
        classes: the run's class names.
        place: how to name the shard in an error.

    Raises:
        DamagedShard: a column is missing or of another kind, or names a class that the run does not have.
    """
    try:
        sample = Sample.model_validate(row)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        column = ".".join(str(part) for part in mistake["loc"])
        raise DamagedShard(f"{place}: not the rows of a run ({column or 'row'}: {mistake['msg'].lower()})") from error
    unknown = {sample.class_name, *sample.classes} - classes
    if unknown or not sample.classes:
        raise DamagedShard(f"{place}: sample {sample.key} names classes that the run does not have")
    return sample
