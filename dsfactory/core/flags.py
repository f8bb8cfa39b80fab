"""Which settings are flags of the command line: a mark on the field, its description is the help."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from pydantic import JsonValue
from pydantic.fields import FieldInfo


class Panel(StrEnum):
    """The groups of flags in the help of a command, in their order there."""

    WHAT = "What"
    LOOK = "How it looks"
    LABELS = "Labels"
    WHERE = "Where it runs"
    LIMITS = "Limits"
    OUTPUT = "Output"


@dataclass(frozen=True)
class Flag:
    """A setting on the command line.

    Attributes:
        panel: where it stands in the help.
        name: what it is called; empty for the name of the field.
        help: what it does, where the field's description is too long for the command line.
        metavar: how its value is written in the help.
        default: its default in words, where the value itself says little.
        off: settings of the same section that the value ``off`` stands for.
        offers: values that completion offers besides those of the field's type.
        file: it is a path. A setting that is kept with the run gets the absolute one.
        path: it may be a path beside what it ``offers``.
        argument: it is no flag, but an argument without a name.
        repeated: it may be given several times, each with one value; the setting is their list.
    """

    panel: Panel
    name: str = ""
    help: str = ""
    metavar: str = ""
    default: str = ""
    off: Mapping[str, JsonValue] | None = None
    offers: Sequence[str] = ()
    file: bool = False
    argument: bool = False
    repeated: bool = False
    path: bool = False


def flag(
    panel: str,
    name: str = "",
    *,
    help: str = "",
    metavar: str = "",
    default: str = "",
    off: Mapping[str, JsonValue] | None = None,
    offers: Sequence[str] = (),
    file: bool = False,
    argument: bool = False,
    repeated: bool = False,
    path: bool = False,
    affects_output: bool = True,
    saved: bool = True,
) -> dict[str, JsonValue]:
    """The ``json_schema_extra`` of a field that is a flag; see :class:`Flag`.

    Args:
        panel: one of :class:`Panel`.
        affects_output: another value gives another result; see :class:`dsfactory.core.section.Section`.
        saved: it is kept with the run; see there.
    """
    marks = Flag(Panel(panel), name, help, metavar, default, off, [*offers], file, argument, repeated, path)
    facts = {"affects_output": affects_output, "saved": saved}
    given = {key: value for key, value in asdict(marks).items() if value}
    return {"flag": given, **{key: False for key, value in facts.items() if not value}}


def flag_of(info: FieldInfo) -> Flag | None:
    """How a field looks on the command line; None when it is no flag."""
    marks = info.json_schema_extra.get("flag") if isinstance(info.json_schema_extra, dict) else None
    return Flag(**{**marks, "panel": Panel(marks["panel"])}) if isinstance(marks, dict) else None  # type: ignore[arg-type]
