"""How to make the run again: commands, settings and versions, all from what the run itself holds."""

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dsfactory.jobs.config import RunConfig

_FLAGS = {
    "num": "--num",
    "seed": "--seed",
    "shard_size": "--shard-size",
    "prompts.objects": "--objects",
    "generate.negative_prompt": "--negative-prompt",
    "generate.model": "--model",
    "generate.width": "--width",
    "generate.height": "--height",
    "generate.steps": "--steps",
    "generate.guidance": "--guidance",
}
"""Settings that have a flag of their own; the others go through ``--set``."""

MAX_LOG = 64 * 2**20
"""Bytes of a log that are read."""
MAX_LINE = 100_000

_MAKERS = {"annotate", "filter", "generate", "refine", "run", "splice"}
"""Commands whose versions count: looking at a run changes no report of it."""


def commands(config: RunConfig, stages: Collection[str]) -> list[str]:
    """Shell commands that make the same run again from nothing but its classes and settings.

    Args:
        config: the run's resolved configuration.
        stages: names of the stages that the run has.
    """
    words = ["dsfactory", "run" if "refine" in stages else "generate"]
    if config.annotate is not None:
        words = ["dsfactory", "annotate", "PICTURES", "--config", "run.yaml"]
    elif any(item.synonyms for item in config.classes):
        words += ["--config", "run.yaml"]  # the only place where synonyms can stand; the page shows the file
    else:
        words += ["--classes", ",".join(item.name for item in config.classes), *_changed(config)]
    words += ["--out", "runs/again"]
    lines = [shlex.join(words)]
    return lines + [f"dsfactory {stage} runs/again" for stage in ("filter", "splice") if stage in stages]


def _changed(config: RunConfig) -> Iterator[str]:
    defaults = _flat(RunConfig(classes=config.classes).model_dump(mode="json"))
    for name, value in _flat(config.model_dump(mode="json")).items():
        if name == "classes" or (value == defaults.get(name) and name != "num"):
            continue
        flag = _FLAGS.get(name)
        if flag is not None and value is not None:
            yield from (flag, str(value))
        else:
            yield from ("--set", f"{name}={json.dumps(value, ensure_ascii=False)}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots; a mapping that is a setting's value stays whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and all(key.isidentifier() for key in value):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def versions(run_path: Path) -> dict[str, str]:
    """Package to the version that the run was made with, several joined; empty when the log does not say."""
    found: dict[str, set[str]] = {}
    for path in sorted(run_path.glob("log*.jsonl")):
        for event in _events(path):
            if event.get("event") != "start" or event.get("command") not in _MAKERS:
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
