"""The settings of a run: from files, flags and what it was made with; and where they are kept."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dsfactory.core.config import parse_section, read_yaml
from dsfactory.core.run import CONFIG, Run
from dsfactory.errors import UserError
from dsfactory.stages import RunConfig
from dsfactory.storage.atomic import write_atomic

RUNS = Path("runs")
"""Where runs are made that nobody gave a place."""

_WHOLE = {"classes", "mix"}
"""Mappings that a later source replaces as a whole."""


def resolve_config(saved: Path | None, file: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """Merge defaults, the run's saved config, a config file and flags; the later wins.

    Args:
        saved: ``config.yaml`` of an existing run, or None.
        file: what ``--config`` names, or None.
        flags: nested values from the command line.

    Raises:
        UserError: the first mistake, in one line with its source.
    """
    merged: dict[str, Any] = read_yaml(saved) if saved is not None and os.path.exists(saved) else {}
    if file is not None:
        merged = _merge(merged, read_yaml(file))
        parse_section(RunConfig, {"classes": ["any"], **merged}, str(file))
    return parse_section(RunConfig, _merge(merged, flags), "settings")


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
