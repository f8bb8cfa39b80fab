"""The nested settings that the flags of a command stand for; ``--set`` wins over them."""

from typing import Any

from dsfactory.errors import UserError


def settings_of(given: dict[str, Any]) -> dict[str, Any]:
    """What ``--set`` says, the later wins."""
    from dsfactory.jobs.config import merge_settings, parse_setting

    return merge_settings(*[parse_setting(text) for text in given["setting"] or []])


def generate_flags(given: dict[str, Any]) -> dict[str, Any]:
    """The settings of prompts and generate.

    Raises:
        UserError: classes are given twice or cannot be read, or ``--set`` cannot be.
    """
    from dsfactory.core.config import parse_class_list, read_class_file
    from dsfactory.jobs.config import merge_settings

    if given["classes"] is not None and given["classes_file"] is not None:
        raise UserError("use --classes or --classes-file, not both")
    flags: dict[str, Any] = {name: given[name] for name in ("num", "seed", "shard_size") if given[name] is not None}
    if given["classes"] is not None:
        flags["classes"] = parse_class_list(given["classes"])
    elif given["classes_file"] is not None:
        flags["classes"] = read_class_file(given["classes_file"])
    sections = {
        "prompts": ("corpus", "column", "objects", "style", "scene", "weather"),
        "generate": ("model", "negative_prompt", "width", "height", "steps", "guidance", "device", "batch_size"),
    }
    for section, names in sections.items():
        flags[section] = {name: given[name] for name in names if given.get(name) is not None}
    return merge_settings(flags, settings_of(given))


def refine_flags(given: dict[str, Any]) -> dict[str, Any]:
    """The settings of refine."""
    from dsfactory.jobs.config import merge_settings

    refine: dict[str, Any] = {}
    if given["threshold"] is not None:
        refine["threshold"] = given["threshold"]
    if given["affinity"] is not None:
        refine["affinity"] = given["affinity"]
    if given["crf"] == "off":
        refine["crf_iterations"] = 0
    elif given["crf"] is not None:
        refine["crf_backend"] = given["crf"]
    return merge_settings({"refine": refine}, settings_of(given))
