"""The configuration in words: a commented ``run.yaml``, and the reference page. All of it comes from the fields."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dsfactory.core.classes import is_readable
from dsfactory.stages import RunConfig

_WIDTH = 110
_HEADER = """\
# Settings of a dsfactory run: dsfactory run --config THIS_FILE
# Flags win over this file, and this file wins over what an existing run was made with.
# What you delete keeps its default. Values: null is none, true and false are yes and no.
# It may also say what the command does: out: runs/mine, formats: [coco, voc], budget: 6h
"""


@dataclass(frozen=True)
class Setting:
    """A field of the configuration.

    Attributes:
        path: its name, with the sections it is in: ``("generate", "steps")``.
        values: which values it takes, in words.
        default: its default as a JSON value; for a section, that of all its settings.
        text: what it does.
        section: it holds settings of its own.
        affects_output: whether another value gives another result, not only another way to the same.
    """

    path: tuple[str, ...]
    values: str
    default: Any
    text: str
    section: bool
    affects_output: bool


def settings() -> Iterator[Setting]:
    """All settings in the order of declaration, each section before its own."""
    schema = RunConfig.model_json_schema()
    defaults = RunConfig.model_construct().model_dump(mode="json")
    yield from _settings(schema, schema["$defs"], defaults, ())


def _settings(
    schema: Mapping[str, Any], defs: Mapping[str, Any], defaults: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Setting]:
    for name, field in schema["properties"].items():
        reference = field.get("$ref", "")
        inner = defs[reference.rpartition("/")[2]] if reference else None
        # pydantic leaves a description out that repeats the section's own.
        text = field["description"] if inner is None else field.get("description", inner["description"])
        values = _values(field, defs) if inner is None else "settings"
        affects_output = field.get("affects_output", True)
        yield Setting((*path, name), values, defaults[name], text, inner is not None, affects_output)
        if inner is not None:
            yield from _settings(inner, defs, defaults[name], (*path, name))


def _values(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A JSON schema in words: ``"integer from 1 to 1000, or null"``."""
    if "$ref" in field:
        names = defs[field["$ref"].rpartition("/")[2]]["properties"]
        return f"settings ({', '.join(names)})"
    if "anyOf" in field:
        return ", or ".join(_values(option, defs) for option in field["anyOf"])
    if "const" in field or "enum" in field:
        return ", ".join(field.get("enum", [field.get("const")]))
    kind = field["type"]
    if kind == "array":
        return "list of names" if "ClassSpec" in json.dumps(field) else "list"
    if kind == "object":
        return f"mapping to {_values(field['additionalProperties'], defs)}"
    words = {"integer": "integer", "number": "number", "string": "text", "boolean": "true, false", "null": "null"}[kind]
    for key, word in (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"),
                      ("exclusiveMaximum", "below"), ("multipleOf", "in steps of")):  # fmt: skip
        if key in field and field[key] < 10**9:
            words += f" {word} {field[key]}"
    return words


def commented_yaml(config: RunConfig) -> str:
    """A configuration with a comment on every setting; reading it back gives the same configuration."""
    values = config.model_dump(mode="json")
    lines = [_HEADER.rstrip()]
    for setting in settings():
        indent = "  " * (len(setting.path) - 1)
        value = _value_at(values, setting.path)
        lines += [""] if len(setting.path) == 1 else []
        lines += [f"{indent}# {line}" for line in _wrapped(_comment(setting), _WIDTH - len(indent) - 2)]
        lines.append(f"{indent}{setting.path[-1]}:" if setting.section else _line(setting, value, indent))
    return "\n".join(lines) + "\n"


def _comment(setting: Setting) -> str:
    if setting.section:
        return setting.text
    default = "" if setting.path == ("classes",) else f"; default {_inline(setting.default)}"
    return f"{setting.text} ({setting.values}{default})"


def changed_settings(config: RunConfig) -> dict[str, Any]:
    """The values that differ from the defaults, nested as in the configuration; the classes always."""
    values = config.model_dump(mode="json")
    found: dict[str, Any] = {}
    for setting in settings():
        value = _value_at(values, setting.path)
        if not setting.section and value != setting.default:
            inner = found
            for name in setting.path[:-1]:
                inner = inner.setdefault(name, {})
            inner[setting.path[-1]] = value
    return found


def changed_yaml(config: RunConfig, only_changed: bool = False) -> str:
    """A configuration with the default beside every value that differs from it; on request, those values alone."""
    values = config.model_dump(mode="json")
    changed = changed_settings(config)
    lines = []
    for setting in settings():
        indent = "  " * (len(setting.path) - 1)
        value = _value_at(values, setting.path)
        differs = _holds(changed, setting.path)
        if differs or not only_changed:
            line = f"{indent}{setting.path[-1]}:" if setting.section else _line(setting, value, indent)
            note = differs and not setting.section and setting.path != ("classes",)
            lines.append(f"{line}  # default {_inline(setting.default)}" if note else line)
    return "\n".join(lines) + "\n"


def _holds(values: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    inner: Any = values
    for name in path:
        if not isinstance(inner, Mapping) or name not in inner:
            return False
        inner = inner[name]
    return True


def reference_page() -> str:
    """``docs/configuration.md``."""
    sections: dict[tuple[str, ...], list[Setting]] = {(): []}
    texts: dict[tuple[str, ...], str] = {}
    for setting in settings():
        sections.setdefault(setting.path[:-1], []).append(setting)
        if setting.section:
            texts[setting.path] = setting.text
    lines = [
        "# Configuration", "",
        "Every setting of a run, from the code (`python scripts/configuration_page.py` writes this page). "
        "`dsfactory init` writes a `run.yaml` with all of them, `--config run.yaml` takes it, "
        "`--set section.name=value` sets one, and `dsfactory config show RUN` prints what a run was made with. "
        "Flags win over the file, the file over the run's saved settings, those over the defaults.", "",
        "Beside these settings, a `run.yaml` may say what its command does with them: `out: runs/mine`, "
        "`formats: [coco, voc]` and `budget: 6h` stand for `--out`, `--format` and `--budget`. They are not kept with "
        "the run.", "",
        "Settings marked ° change how fast or where the work is done, or how much of it, and no result.", "",
    ]  # fmt: skip
    for path, members in sections.items():
        lines += [f"## {'.'.join(path)}" if path else "## The run", ""]
        lines += [texts[path], ""] if path else []
        lines += ["| setting | default | values | what it does |", "| --- | --- | --- | --- |"]
        for setting in members:
            if not setting.section:
                mark = "" if setting.affects_output else "°"
                default = "–" if setting.path == ("classes",) else f"`{_inline(setting.default)}`"
                cells = (f"`{setting.path[-1]}`{mark}", default, setting.values, setting.text)
                lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def _value_at(values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = values
    for name in path:
        found = found[name]
    return found


def _line(setting: Setting, value: Any, indent: str) -> str:
    if setting.path == ("classes",):
        named = {item["name"]: item["synonyms"] for item in value}
        if not any(is_readable(item["name"]) and "only_label" in item for item in value):
            value = named if any(named.values()) else [*named]
    text = _inline(value)
    return f"{indent}{setting.path[-1]}: {text}"


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
