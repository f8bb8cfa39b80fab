"""The settings of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, cast

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from dsfactory.core.classes import ClassSpec, check_classes, plain_classes
from dsfactory.core.flags import Panel, flag
from dsfactory.core.reading import read_yaml
from dsfactory.core.section import Section, is_saved, parse_section
from dsfactory.errors import UserError

SectionT = TypeVar("SectionT", bound=BaseModel)

MAX_NUM = 10_000_000
"""Most images of a class."""


def check_num(value: Any) -> int | str:
    """Images per class as a number or as ``"dog=300,bird=50"``, which may be given as a mapping, too.

    Raises:
        ValueError: one sentence for the user.
    """
    if isinstance(value, Mapping):
        counts: Mapping[str, Any] = value
    else:
        counts = _per_class(value) if isinstance(value, str) and "=" in value else {"": value}
    found = {name: _count(count) for name, count in counts.items()}
    if not found or not all(found.values()):
        given = f"num {value[:60]!r}" if isinstance(value, str) else "num"
        raise ValueError(f"{given}: give images per class from 1 to {MAX_NUM:,}, such as 100 or dog=300,bird=50")
    return found[""] if [*found] == [""] else ",".join(f"{name}={count}" for name, count in found.items())


def _count(value: Any) -> int:
    """A number of images from what a user wrote; 0 for what is none."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_NUM else 0


def _per_class(text: str) -> dict[str, Any]:
    """``"dog=300,bird=50"`` by class name."""
    parts = (part.rpartition("=") for part in text.split(","))
    return {name.strip(): count for name, _, count in parts}


class Document(Section):
    """A section that is saved as YAML."""

    def to_yaml(self) -> str:
        """The resolved values as YAML text, keys in the order of declaration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)

    @classmethod
    def read(cls, path: Path) -> Self:
        return parse_section(cls, read_yaml(path), str(path))


class RunSettings(Document):
    """What every run has; the sections of the stages are added by :meth:`dsfactory.core.registry.Registry.settings`."""

    classes: Annotated[tuple[ClassSpec, ...], BeforeValidator(plain_classes), AfterValidator(check_classes)] = Field(
        (), validate_default=True, description="Class names in label order; each may have synonyms."
    )
    num: Annotated[int | str, BeforeValidator(check_num)] = Field(
        100,
        description="Images per class: one number, or dog=300,bird=50.",
        json_schema_extra=flag(
            Panel.WHAT,
            help="Images per class that the run is to have, or dog=300,bird=50. What is there counts.",
            metavar="N",
        ),
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="Seed of the run. Each image's seed follows from it.",
        json_schema_extra=flag(Panel.WHAT),
    )  # fmt: skip
    shard_size: int = Field(
        32, ge=1, le=10_000, description="Samples per shard: what a killed run may lose.",
        json_schema_extra=flag(Panel.OUTPUT),
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _fill_null_sections(cls, values: Any) -> Any:
        """A section that is null has its defaults: older runs say ``annotate: null``."""
        return {k: v for k, v in values.items() if v is not None} if isinstance(values, Mapping) else values

    @property
    def counts(self) -> dict[str, int]:
        """Images that each class is to have.

        Raises:
            UserError: ``num`` names a class that the run does not have, or leaves one out.
        """
        names = [item.name for item in self.classes]
        if isinstance(self.num, int):
            return dict.fromkeys(names, self.num)
        counts = {name: int(count) for name, count in _per_class(self.num).items()}
        for name in counts:
            if name not in names:
                raise UserError(f"num: the run has no class {name!r}: it has {', '.join(names)}")
        for name in names:
            if name not in counts:
                raise UserError(f"num: how many images of {name}? Write --num {self.num},{name}=100")
        return counts

    def of(self, kind: type[SectionT]) -> SectionT:
        """The section of a class, such as ``settings.of(RefineConfig)``."""
        for name, info in type(self).model_fields.items():
            if info.annotation is kind:
                return cast(SectionT, getattr(self, name))
        raise KeyError(kind.__name__)

    def saved(self) -> Self:
        """The settings as they are kept with a run: without what is about a single command."""
        updates = {}
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, Section):
                fields = type(section).model_fields.items()
                once = {field: info.default for field, info in fields if not is_saved(info)}
                updates[name] = section.model_copy(update=once) if once else section
        return self.model_copy(update=updates)
