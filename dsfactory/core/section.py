"""A section of the configuration: typed, a sentence per field, one clear line for a mistake."""

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from dsfactory.errors import UserError

ModelT = TypeVar("ModelT", bound=BaseModel)


class Section(BaseModel):
    """Base of all configuration. Frozen; unknown keys are errors.

    A field that does not change the output's bytes (a batch size, a device) is declared with
    ``json_schema_extra={"affects_output": False}`` and stays out of fingerprints. One that is about a single command
    has ``"saved": False`` beside it and is not kept with the run. One that came after runs had been made has
    ``"before"``: the value with which output is as it was without the field. Fingerprints leave it out then, so that
    those runs go on. A field that is a flag of the command line is declared with ``json_schema_extra=flag(…)``, which
    takes the first two; see :mod:`dsfactory.core.flags`.
    """

    also: ClassVar[tuple[str, ...]] = ()
    """Settings outside this section whose flags its command takes too, such as ``"generate.model"`` or ``"num"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def identity(self) -> dict[str, Any]:
        """The fields that decide the output's bytes, as JSON values."""
        return self.model_dump(mode="json", exclude=self._without_effect())

    def _without_effect(self) -> set[str]:
        names = set()
        for name, info in type(self).model_fields.items():
            extra = info.json_schema_extra
            if not isinstance(extra, dict):
                continue
            if extra.get("affects_output") is False or ("before" in extra and extra["before"] == getattr(self, name)):
                names.add(name)
        return names


def parse_section(kind: type[ModelT], values: Mapping[str, Any], where: str) -> ModelT:
    """Validate values against a section.

    Args:
        kind: the section's class.
        values: names to values, as read from YAML or flags.
        where: how to name the source in an error, e.g. ``"run.yaml"``.

    Raises:
        UserError: the first mistake in one line; a misspelt key names the nearest one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_mistake(kind, values, error)}") from error


def _first_mistake(kind: type[BaseModel], values: Mapping[str, Any], error: ValidationError) -> str:
    mistakes = error.errors(include_url=False)
    mistake = mistakes[0]
    path = [_printable(str(part)) for part in mistake["loc"]]
    dotted = ".".join(path)
    if mistake["type"] == "extra_forbidden":
        known = list(_fields_at(kind, path[:-1]))
        near = difflib.get_close_matches(path[-1], known, n=1)
        if len(path) == 1 and isinstance(mistake["input"], Mapping):  # a stage's section
            guess = f"did you mean '{near[0]}'? Else " if near else ""
            return f"the section '{dotted}' is unknown: {guess}install the package that brings the stage '{dotted}'"
        advice = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
        return f"there is no setting '{dotted}': {advice}"
    if mistake["type"] == "missing":
        return f"'{dotted}' is missing"
    place = _place(values, mistake["loc"])
    alike = [item for item in mistakes if _place(values, item["loc"]) == place]  # one for each type that it may have
    said = [str(item["ctx"]["error"]) for item in alike if item["type"] == "value_error"]
    if said:
        return said[0]
    value = _Repr().repr(mistake["input"])
    shown = value if len(value) <= 60 else value[:57] + "…"
    dotted = ".".join(map(_printable, place))
    wanted = " or ".join(dict.fromkeys(map(_wanted, alike)))
    return f"{dotted}{': ' if dotted else ''}input should be {wanted} (got {shown})"


def _place(values: Any, path: Sequence[int | str]) -> list[str]:
    """The part of pydantic's path to a mistake that the user wrote; the rest names types."""
    place = []
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            break
        place.append(str(part))
    return place


_KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "list": "a list",
    "tuple": "a list", "dict": "names with values", "model": "names with values", "path": "a path",
    "none": "null",
}  # fmt: skip


def _wanted(mistake: Any) -> str:
    """What an input should be, in words that are not pydantic's."""
    kind, _, problem = mistake["type"].partition("_")
    if kind in _KINDS and problem in ("parsing", "type", "from_float", "attributes_type", "required"):
        return _KINDS[kind]
    return str(mistake["msg"]).lower().removeprefix("input should be ")


class _Repr(reprlib.Repr):
    """Short for any value: neither deep nor long ones are written out before they are cut."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 80, 80


def _printable(name: str) -> str:
    """A key as it may be shown: no terminal escapes, no megabytes."""
    shown = name if len(name) <= 60 else name[:57] + "…"
    return "".join(character if character.isprintable() else "?" for character in shown)


def _fields_at(kind: type[BaseModel], path: list[str]) -> Mapping[str, Any]:
    fields = kind.model_fields
    for part in path:
        annotation = fields[part].annotation if part in fields else None
        kinds = [kind for kind in (annotation, *get_args(annotation)) if _is_model(kind)]  # X, or X | None
        if not kinds:
            return {}
        fields = kinds[0].model_fields
    return fields


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_saved(info: FieldInfo) -> bool:
    """Whether a setting is kept with a run."""
    return not (isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("saved") is False)
