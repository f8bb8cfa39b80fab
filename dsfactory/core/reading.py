"""Reading the small text and YAML files that a user writes."""

from pathlib import Path
from typing import Any

import yaml

from dsfactory.errors import UserError


def read_text(path: Path, what: str, limit: int = 1_000_000) -> str:
    """A small UTF-8 file, or what a pipe has to say, in full.

    Raises:
        UserError: it is missing, longer than ``limit`` bytes, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise UserError(f"{what} {path} has more than {limit / 1e6:g} MB: is it the right file?")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except ValueError as error:
        raise UserError(f"{what} {str(path)!r} cannot be read: that is no path") from error


class _Loader(yaml.SafeLoader):
    """YAML without aliases: a dozen lines of them stand for more data than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, _ALIASES, self.get_mark())
        return super().compose_node(parent, index)


_ALIASES = "aliases (*name) are not read here: write the values out"

MAX_YAML = 256_000
"""Longest configuration in bytes; parsing takes seconds per megabyte."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A configuration file as a mapping.

    Raises:
        UserError: unreadable, not YAML, or not a mapping at the top.
    """
    text = read_text(path, "config", MAX_YAML)
    try:
        content = yaml.load(text, _Loader)
    except Exception as error:  # PyYAML lets KeyError, AttributeError and more through for bad scalars
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        why = f": {_ALIASES}" if getattr(error, "problem", None) == _ALIASES else ""
        raise UserError(f"config {path} is not valid YAML{place}{why}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise UserError(f"config {path} must hold 'name: value' lines at the top, such as 'classes: [dog, bird]'")
    return content
