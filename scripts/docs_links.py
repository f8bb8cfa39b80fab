"""A hook of mkdocs: links that leave docs/ become the names of these files, since the site does not have them."""

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs with the text of each page."""
    return re.sub(r"\[([^\]]*)\]\(\.\./([\w./-]+)(?:#[\w-]+)?\)", _named, markdown)


def _named(link: "re.Match[str]") -> str:
    text, name = link.groups()
    return f"`{name}`" if text.strip("`") == name else f"{text} (`{name}`)"
