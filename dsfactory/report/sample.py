"""A sample as the report sees it, whichever stage it has reached."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from dsfactory.errors import DamagedShard

State = Literal["kept", "dropped", "rejected", "failed", "drawn", "planned"]
STATES: dict[State, str] = {
    "kept": "has a mask and is in the dataset",
    "dropped": "has a mask and was filtered out",
    "rejected": "no mask was found, or a person rejected it",
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

PLOTTED = ("agreement", "threshold", "area")
"""Scores that have a value per class and a plot."""


class Sample(BaseModel):
    """A row of the furthest stage; columns of stages it has not reached are None.

    Tuples hold one value per class, in the order of ``classes``.

    Attributes:
        reached: what it is as long as nothing is wrong with it.
        decided: the score for which it was left out, and its limit.
        missing: per class why it has no mask; empty for one that has.
        others: scores that have no field here, by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    number: int
    class_name: str
    classes: tuple[str, ...]
    prompt: str = ""
    source: str = ""
    style: str | None = None
    scene: str | None = None
    weather: str | None = None
    domain: str | None = None
    seed: int = 0
    image_seed: int | None = None
    status: Literal["ok", "rejected", "failed", "dropped"] | None = None
    reason: str | None = None
    decided: str | None = None
    missing: tuple[str, ...] | None = None
    agreement: PerClass = None
    area: PerClass = None
    threshold: PerClass = None
    components: tuple[int, ...] | None = None
    duplicate_of: str | None = None
    reached: State = "kept"
    others: dict[str, Number | PerClass] = {}

    @model_validator(mode="after")
    def _check_lengths(self) -> "Sample":
        per_class = {**self.per_class(), "components": self.components or self.classes}
        for name, values in per_class.items():
            if len(values) != len(self.classes):
                raise ValueError(f"{len(values)} values of {name} for {len(self.classes)} classes")
        return self

    @property
    def state(self) -> State:
        return self.reached if self.status is None or self.status == "ok" else self.status

    @property
    def why(self) -> str:
        """Why it is not in the dataset; empty for one that is, or that is on its way."""
        return self.reason or ""

    @property
    def details(self) -> list[str]:
        """What there is to say beyond :attr:`why`: the score that decided, and classes that have no mask."""
        absent = zip(self.classes, self.missing or (), strict=False)
        notes = [f"no mask for {name}: {why}" for name, why in absent if why]
        return [*filter(None, [self.decided]), *(note for note in notes if note not in self.why)]

    @property
    def score(self) -> float | None:
        """Agreement of the class in the mask that agrees least; None without a mask."""
        return self.scores().get("agreement")

    @property
    def present(self) -> tuple[bool, ...]:
        """Whether each class has a part in the mask; all have where no stage measured areas."""
        return tuple(bool(area) for area in self.area) if self.area is not None else (True,) * len(self.classes)

    @property
    def labelled(self) -> tuple[str, ...]:
        """Classes in the mask of a sample that has one; those that were asked for, before it is labelled."""
        if self.state in ("drawn", "planned"):
            return self.classes
        there = self.present if self.state in ("kept", "dropped") else ()
        return tuple(name for name, is_there in zip(self.classes, there, strict=False) if is_there)

    def per_class(self) -> dict[str, tuple[float | None, ...]]:
        """The scores that have a value per class."""
        own = {name: getattr(self, name) for name in PLOTTED}
        return {name: values for name, values in {**own, **self.others}.items() if isinstance(values, tuple)}

    def scores(self) -> dict[str, float]:
        """A number per score that it has: of the weakest class where there is one per class, the sum for the area.

        A class that is not in the mask has no say: its scores are those of nothing.
        """
        found: dict[str, float] = {}
        for name, values in self.per_class().items():
            known = [value for value, there in zip(values, self.present, strict=True) if value is not None and there]
            if known:
                found[name] = sum(known) if name == "area" else min(known)
        return found | {name: value for name, value in self.others.items() if isinstance(value, float)}


def score_columns(schemas: Sequence[pa.Schema]) -> list[str]:
    """Names of the columns that are scores without a field of :class:`Sample`: numbers, or a number per class."""
    columns = {column.name: column.type for schema in schemas for column in schema}
    return [
        name
        for name, kind in columns.items()
        if name not in Sample.model_fields and pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind)
    ]


def parse_sample(
    row: Mapping[str, Any], classes: frozenset[str], place: str, reached: State, scores: Collection[str]
) -> Sample:
    """A row of a shard as a sample.

    Args:
        row: as the shard's table holds it.
        classes: the run's class names.
        place: how to name the shard in an error.
        reached: what the sample is as long as nothing is wrong with it.
        scores: columns that go into :attr:`Sample.others`.

    Raises:
        DamagedShard: a column is missing or of another kind, or names a class that the run does not have.
    """
    try:
        others = {name: _said(row[name], len(row["classes"])) for name in scores if name in row}
        own = {"reached": reached, "others": others}
        sample = Sample.model_validate({"class_name": next(iter(row["classes"]), ""), **row, **own})
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        column = ".".join(str(part) for part in mistake["loc"])
        raise DamagedShard(f"{place}: not the rows of a run ({column or 'row'}: {mistake['msg'].lower()})") from error
    unknown = {sample.class_name, *sample.classes} - classes
    if unknown or not sample.classes:
        raise DamagedShard(f"{place}: sample {sample.key} names classes that the run does not have")
    return sample


def _said(value: Any, classes: int) -> Any:
    """A score as it is; the least of one that has a value per object: there may be more objects than classes."""
    if not isinstance(value, list) or len(value) in (0, classes):
        return value
    return min((one for one in value if one is not None), default=None)
