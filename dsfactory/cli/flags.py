"""Flags made from settings: what they look like on the command line, and the nested settings that they stand for."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
import yaml
from pydantic.fields import FieldInfo

from dsfactory.cli import options as o
from dsfactory.cli.completion import offering
from dsfactory.cli.places import on_disk
from dsfactory.core.config import RunSettings
from dsfactory.core.flags import Flag, Panel, flag_of
from dsfactory.core.section import Section, is_saved
from dsfactory.errors import UserError
from dsfactory.stages import STAGES

OFF = "off"
MAX_DEFAULT = 30
"""Longest default in characters that the help shows."""


@dataclass(frozen=True)
class SettingFlag:
    """A setting that is a flag.

    Attributes:
        path: its name, with the sections it is in: ``("refine", "threshold")``.
        info: its field.
        mark: how it looks.
    """

    path: tuple[str, ...]
    info: FieldInfo
    mark: Flag

    @property
    def name(self) -> str:
        """What the user writes: ``"--threshold"``, or ``"IMAGES"`` for an argument."""
        plain = self.path[-1].upper() if self.mark.argument else f"--{self.path[-1].replace('_', '-')}"
        return self.mark.name or plain

    @property
    def key(self) -> str:
        """Its name among the parameters of a command."""
        return "_".join(self.path)

    def parameter(self) -> inspect.Parameter:
        """The parameter for Typer."""
        kinds = _options(self.info.annotation)
        kind = self._kind(kinds)
        looks: dict[str, Any] = {
            "help": self._help(),
            "rich_help_panel": self.mark.panel.value,
            "metavar": self.mark.metavar or None,
        }
        if self.mark.argument:
            looks |= {"metavar": self.name, "show_default": False}
        if self.mark.file:
            looks["callback"] = on_disk
        elif self.mark.offers and kind is str:
            looks["autocompletion"] = offering(self.mark.offers)
        names = (f"{self.name}/--no-{self.name[2:]}",) if kind is bool else (self.name,)
        made = typer.Argument(**looks) if self.mark.argument else typer.Option(*names, **looks)
        return parameter(self.key, Annotated[kind | None, made])

    def _kind(self, kinds: Sequence[Any]) -> Any:
        """The type for Typer: text for whatever it cannot check; then the settings do."""
        if self.mark.file:
            return Path
        if self.mark.repeated:
            return list[str]
        one = kinds[0] if len(kinds) == 1 else str
        if get_origin(one) is Literal:
            return Literal[(*get_args(one), *([OFF] if self.mark.off else []))]
        return one if one in (int, float, bool) and not self.mark.off else str

    def _help(self) -> str:
        default = self.mark.default
        if not default and self.info.default is not None and not self.info.is_required():
            value = list(self.info.default) if isinstance(self.info.default, tuple) else self.info.default
            default = "" if value == [] else _inline(value)
        text = self.mark.help or self.info.description or ""
        return f"{text} [default: {default}]" if 0 < len(default) <= MAX_DEFAULT else text

    def nested(self, value: Any) -> dict[str, Any]:
        """The settings that a value of the flag stands for."""
        *sections, name = self.path
        own: Mapping[str, Any] = {name: value}
        if self.mark.off and value == OFF:
            own = self.mark.off
        elif self.mark.file:
            own = {name: str(value.absolute() if is_saved(self.info) else value)}
        elif self.mark.repeated:
            own = {name: [*value]}
        elif isinstance(value, str) and any(
            get_origin(kind) in (tuple, list) for kind in _options(self.info.annotation)
        ):
            own = {name: value.split(",") if value.strip() else []}
        nested: dict[str, Any] = dict(own)
        for section in reversed(sections):
            nested = {section: nested}
        return nested


def _options(annotation: Any) -> list[Any]:
    """The types that a value may have, without None."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) if part is not NoneType for kind in _options(part)]
    return [annotation]


def _inline(value: Any) -> str:
    """A value as the flag takes it."""
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...").strip("'")


def flags_at(place: str) -> Iterator[SettingFlag]:
    """The flags of a place: ``"generate"`` for a whole section, ``"generate.model"``, or ``"num"`` of the run."""
    head, _, name = place.partition(".")
    if head in RunSettings.model_fields:
        yield from _flags_of(RunSettings, (), only=head)
    else:
        yield from _flags_of(STAGES.entries[head].section, (head,), only=name)


def _flags_of(section: type[Section], path: tuple[str, ...], only: str = "") -> Iterator[SettingFlag]:
    for name, info in section.model_fields.items():
        if only and name != only:
            continue
        mark = flag_of(info)
        if mark is not None:
            yield SettingFlag((*path, name), info, mark)
        elif isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from _flags_of(info.annotation, (*path, name))


class Flags:
    """The flags of a command that stand for settings, ``--set`` among them.

    Args:
        places: see :func:`flags_at`. Of two flags with one name the later is taken.
        classes: ``--classes`` and ``--classes-file`` too.
    """

    def __init__(self, places: Iterable[str], classes: bool) -> None:
        self._classes = classes
        self.items = {item.name: item for place in places for item in flags_at(place)}

    def parameters(self) -> list[inspect.Parameter]:
        """For Typer, ``--set`` apart, which comes last in the help."""
        named = [parameter("classes", o.Classes), parameter("classes_file", o.ClassesFile)] if self._classes else []
        made = [item.parameter() for item in self.items.values()]
        return [*named, *made]

    def settings(self, given: dict[str, Any]) -> dict[str, Any]:
        """The nested settings that the flags stand for; they are taken out of ``given``. ``--set`` wins.

        Raises:
            UserError: classes are given twice or cannot be read, or ``--set`` cannot be.
        """
        from dsfactory.jobs.settings import merge_settings, parse_setting

        named = classes_of(given.pop("classes"), given.pop("classes_file")) if self._classes else {}
        values = [(item, given.pop(item.key)) for item in self.items.values()]
        nested = [item.nested(value) for item, value in values if value not in (None, [])]
        return merge_settings(named, *nested, *[parse_setting(text) for text in given.pop("setting") or []])


def classes_of(classes: str | None, classes_file: Path | None) -> dict[str, Any]:
    """The setting that ``--classes`` or ``--classes-file`` stands for.

    Raises:
        UserError: both are given, or they cannot be read.
    """
    from dsfactory.core.classes import parse_class_list, read_class_file

    if classes is not None and classes_file is not None:
        raise UserError("use --classes or --classes-file, not both")
    if classes is not None:
        return {"classes": parse_class_list(classes)}
    return {"classes": read_class_file(classes_file)} if classes_file is not None else {}


def parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A parameter that is passed by its name."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def taking(parameters: Iterable[inspect.Parameter], call: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    """A function for Typer that takes parameters and ``--set``, sorted by panel, and passes them on as a dictionary."""

    def function(**given: Any) -> None:
        call(given)

    panels = [o.ARGUMENTS, *(panel.value for panel in Panel)]
    placed = [_in_panel(item, panels[1]) for item in (*parameters, parameter("setting", o.Set))]
    ordered = sorted(placed, key=lambda item: panels.index(_looks(item).rich_help_panel))
    function.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    return function


def with_flags(function: Callable[..., None], flags: Flags) -> Callable[..., None]:
    """A function whose first parameter is the settings, as one that takes flags in their place."""
    own = [
        item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in inspect.signature(function).parameters.values()
    ]
    return taking([*own[1:], *flags.parameters()], lambda given: function(flags.settings(given), **given))


def _in_panel(item: inspect.Parameter, panel: str) -> inspect.Parameter:
    """A parameter that stands in a panel of the help: its own, or this one. Arguments stand apart, as Typer has it."""
    kind, looks = get_args(item.annotation)
    looks = copy(looks)
    is_argument = isinstance(looks, typer.models.ArgumentInfo)
    looks.rich_help_panel = o.ARGUMENTS if is_argument else looks.rich_help_panel or panel
    return item.replace(annotation=Annotated[kind, looks])


def _looks(item: inspect.Parameter) -> Any:
    """The Typer option or argument in a parameter's annotation."""
    return item.annotation.__metadata__[0]
