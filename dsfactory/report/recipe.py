"""How to make the run again: commands, settings and versions, all from what the run itself holds."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsfactory.core.flags import flag_of
from dsfactory.core.stage import Stage
from dsfactory.stages import STAGES, RunConfig

AGAIN = "runs/again"
"""Where the page's commands make the run."""

MAX_LOG = 64 * 2**20
"""Bytes of a log that are read."""
MAX_LINE = 100_000


def commands(config: RunConfig, stages: Sequence[str]) -> list[str]:
    """Shell commands that make the same run again from nothing except its classes and settings.

    Args:
        config: the run's resolved configuration.
        stages: names of the stages that the run has, in order.
    """
    kinds = [STAGES[name] for name in stages]
    # A stage that takes milliseconds has no line: the command of the one after it makes it.
    first, *others = [kind for kind in kinds if not kind.inline] or [_next_of(kinds[-1].name)]
    words = ["dsfactory", first.name]
    if any(item.synonyms for item in config.classes):
        words += ["--config", "run.yaml"]  # the only place where synonyms can stand; the page shows the file
    else:
        words += ["--classes", ",".join(item.name for item in config.classes), *_changed(config, first.name)]
    lines = [shlex.join([*words, "--out", AGAIN])]
    return lines + [f"dsfactory {kind.name} {AGAIN}" for kind in others if kind.name not in first.then]


def _next_of(name: str) -> type[Stage]:
    return STAGES[STAGES.names[STAGES.names.index(name) + 1]]


def _changed(config: RunConfig, command: str) -> Iterator[str]:
    """Flags for the settings that are not the defaults."""
    flags = _flags_of(command)
    defaults = flat(RunConfig(classes=config.classes).model_dump(mode="json"))
    for name, value in flat(config.saved().model_dump(mode="json")).items():
        if name == "classes" or (value == defaults.get(name) and name != "num"):
            continue
        if name in flags and isinstance(value, str | int | float) and not isinstance(value, bool):
            yield from (flags[name], str(value))
        else:
            yield from ("--set", f"{name}={json.dumps(value, ensure_ascii=False)}")


def _flags_of(command: str) -> dict[str, str]:
    """Settings that have a flag of their own in a stage's command, and what it is; the others go through ``--set``."""
    sections = {name: STAGES.entries[name].section for name in (*STAGES.facts(command).serving, command)}
    flags = {f"--{name.replace('_', '-')}": name for name in ("seed", "shard_size")}
    for place, section in sections.items():  # of two flags with one name the later is taken
        flags |= {f"--{name}": name for name in section.also}
        for name, info in section.model_fields.items():
            mark = flag_of(info)
            if mark is not None and not mark.argument:
                flags[mark.name or f"--{name.replace('_', '-')}"] = f"{place}.{name}"
    return {setting: flag for flag, setting in flags.items()}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots; a mapping that is a setting's value stays whole."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and all(key.isidentifier() for key in value):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def versions(run_path: Path) -> dict[str, str]:
    """Package to the version that the run was made with, several joined; empty when the log does not say."""
    makers = {*STAGES.names, "run"}  # looking at a run changes no report of it
    found: dict[str, set[str]] = {}
    for path in sorted(run_path.glob("log*.jsonl")):
        for event in _events(path):
            if event.get("event") != "start" or event.get("command") not in makers:
                continue
            for name, version in (event.get("versions") or {}).items():
                found.setdefault(str(name), set()).add(str(version)[:40])
    return {name: ", ".join(sorted(several)[:5]) for name, several in list(found.items())[:20]}


def _events(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file() or path.is_symlink():
        return
    with path.open("rb") as file:
        for line in file.read(MAX_LOG).splitlines():
            try:
                event = json.loads(line) if len(line) <= MAX_LINE else None
            except (ValueError, RecursionError):
                continue  # a line that a kill cut short
            if isinstance(event, dict) and isinstance(event.get("versions", {}), dict):
                yield event
