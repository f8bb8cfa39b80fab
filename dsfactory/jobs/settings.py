"""The settings of a run: from files, flags and what it was made with; and where they are kept."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from dsfactory.core.classes import ClassSpec
from dsfactory.core.flags import flag_of
from dsfactory.core.reading import read_yaml
from dsfactory.core.run import CONFIG, Run
from dsfactory.core.section import Section, is_saved, parse_section
from dsfactory.errors import UserError
from dsfactory.stages import RunConfig
from dsfactory.storage.atomic import write_atomic

RUNS = Path("runs")
"""Where runs are made that nobody gave a place."""

Find = Callable[[RunConfig], tuple[ClassSpec, ...]]

_WHOLE = {"classes", "mix"}
"""Mappings that a later source replaces as a whole."""


def _names(value: Any) -> Any:
    """``"coco,voc"`` as a list."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


class RunFile(RunConfig):
    """A ``run.yaml``: the settings of a run, and what its command does with them. The latter is not kept with the run.

    Attributes:
        out: the run's folder, as ``--out`` takes it.
        formats: what is exported, as ``--format`` takes it or as a list.
        budget: the time after which the command stops, as ``--budget`` takes it.
    """

    out: str | None = None
    formats: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    budget: str | None = None


OF_COMMAND = tuple(name for name in RunFile.model_fields if name not in RunConfig.model_fields)


def read_run_file(file: Path | None) -> RunFile:
    """What ``--config`` names; the defaults without one.

    Raises:
        UserError: it cannot be read, or the first mistake in it.
    """
    return parse_section(RunFile, {"classes": ["any"], **(read_yaml(file) if file is not None else {})}, str(file))


def resolve_config(
    saved: Path | None,
    file: Path | None,
    flags: Mapping[str, Any],
    forget: Collection[str] = (),
    find: Find | None = None,
) -> RunConfig:
    """Merge defaults, the run's saved config, a config file and flags; the later wins.

    Relative names of files become absolute ones where they are there, so that the run works from any folder.

    Args:
        saved: ``config.yaml`` of an existing run, or None.
        file: what ``--config`` names, or None.
        flags: nested values from the command line.
        forget: sections of the saved config that do not count.
        find: the classes where nothing names them, from the other settings.

    Raises:
        UserError: the first mistake, in one line with its source.
    """
    merged: dict[str, Any] = read_yaml(saved) if saved is not None and os.path.exists(saved) else {}
    merged = {name: value for name, value in merged.items() if name not in forget}
    if file is not None:
        merged = _merge(merged, _anchored(read_yaml(file)))
        parse_section(RunFile, {"classes": ["any"], **merged}, str(file))
        merged = {name: value for name, value in merged.items() if name not in OF_COMMAND}
    merged = _merge(merged, _anchored(flags))
    if find is not None and not merged.get("classes"):
        found = find(parse_section(RunConfig, {**merged, "classes": ["any"]}, "settings"))
        merged |= {"classes": [spec.model_dump(mode="json") for spec in found]} if found else {}
    return parse_section(RunConfig, merged, "settings")


def _anchored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which files that are there are named from the root."""
    anchored = dict(values)
    for name, given in values.items():
        info = RunConfig.model_fields.get(name)
        section = info.annotation if info is not None else None
        if isinstance(section, type) and issubclass(section, Section) and isinstance(given, Mapping):
            fields = section.model_fields
            anchored[name] = {
                key: os.path.abspath(value) if key in fields and _names_file(fields[key], value) else value
                for key, value in given.items()
            }
    return anchored


def _names_file(info: FieldInfo, value: Any) -> bool:
    """Whether the value of a setting is the relative name of something on this disk."""
    mark = flag_of(info)
    is_path = info.annotation == Path | None or (mark is not None and (mark.file or mark.path))
    if not is_path or not is_saved(info) or not isinstance(value, str | Path):
        return False
    return str(value) not in (mark.offers if mark is not None else ()) and os.path.exists(value)


def not_default(config: RunConfig, names: Sequence[str]) -> list[str]:
    """Settings of these sections that decide what is made and are not the default, as ``--set`` takes them."""
    found = []
    for name in filter(type(config).model_fields.__contains__, names):
        section: Section = getattr(config, name)
        plain = type(section)()
        changed = [item for item in section.identity().items() if getattr(section, item[0]) != getattr(plain, item[0])]
        found += [f"{name}.{key}={_in_words(value)}" for key, value in changed]
    return found


def _in_words(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6).split("\n")[0]
    return text if len(text) <= 60 else f"{text[:57]}…"


def parse_setting(text: str) -> dict[str, Any]:
    """``"refine.crf=off"`` as ``{"refine": {"crf": False}}``; the value is read as YAML.

    Raises:
        UserError: there is no ``=``, or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UserError(f"--set {text!r}: write it as section.name=value, such as generate.steps=30")
    try:
        nested: Any = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        shown = text if len(text) <= 60 else f"{text[:57]}…"
        raise UserError(f"--set {shown!r}: the value is not valid YAML") from error
    for part in reversed(name.strip().split(".")):
        nested = {part: nested}
    return dict(nested)


def merge_settings(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings laid over each other; the later wins."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged = _merge(merged, part)
    return merged


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping) and name not in _WHOLE
        merged[name] = _merge(before, value) if both else value  # type: ignore[arg-type]
    return merged


def run_config(run_path: Path) -> RunConfig:
    """The resolved config of an existing run.

    Raises:
        UserError: not a run, or its config is missing.
    """
    Run.open(run_path)
    path = run_path / CONFIG
    if not path.exists():
        raise UserError(f"{run_path} has no {CONFIG}: run 'dsfactory generate --out {run_path}' again")
    return RunConfig.read(path)


def save_config(run: Run, config: RunConfig) -> None:
    """Write ``config.yaml`` unless it says the same already."""
    data = config.saved().to_yaml().encode()
    path = run.path / CONFIG
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)
