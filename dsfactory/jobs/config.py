"""The configuration of a whole run: a section per stage."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BeforeValidator, Field

from dsfactory.core.config import ClassSpec, Document, check_classes, parse_section, read_yaml
from dsfactory.errors import UserError
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.splice.config import SpliceConfig


def _plain_classes(value: Any) -> Any:
    """Accept ``[dog, bird]`` and ``{dog: [puppy], bird: []}`` beside full specifications."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, Mapping):
        return tuple({"name": name, "synonyms": synonyms or ()} for name, synonyms in value.items())
    if isinstance(value, list | tuple):
        return tuple({"name": item} if isinstance(item, str) else item for item in value)
    return value


class RunConfig(Document):
    """What ``run.yaml`` may say; ``config.yaml`` in a run is this, resolved."""

    classes: Annotated[tuple[ClassSpec, ...], BeforeValidator(_plain_classes), AfterValidator(check_classes)] = Field(
        (), validate_default=True, description="Class names in label order; each may have synonyms."
    )
    num: int = Field(100, ge=1, le=10_000_000, description="Images per class.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed from which every image's seed is derived.")
    shard_size: int = Field(32, ge=1, le=10_000, description="Samples per shard: what a killed run may lose.")
    prompts: PromptsConfig = Field(default_factory=PromptsConfig, description="How captions are found.")
    generate: GenerateConfig = Field(default_factory=GenerateConfig, description="How images are drawn.")
    annotate: AnnotateConfig | None = Field(
        None, description="Pictures that are given instead of drawn; null draws them."
    )
    refine: RefineConfig = Field(default_factory=RefineConfig, description="How evidence becomes masks.")
    filter: FilterConfig = Field(
        default_factory=FilterConfig, description="Which samples are kept, and which pixels of their masks."
    )
    splice: SpliceConfig = Field(
        default_factory=SpliceConfig, description="How kept samples become mosaics and paste compositions."
    )


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


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping) and name not in _WHOLE
        merged[name] = _merge(before, value) if both else value  # type: ignore[arg-type]
    return merged


def merge_settings(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings laid over each other; the later wins."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged = _merge(merged, part)
    return merged
