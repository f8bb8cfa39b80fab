"""Reads a report page as a browser's parser would, without a browser."""

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class Dom(HTMLParser):
    """Elements and texts of a page.

    Attributes:
        elements: tag and attributes of each element, in order.
        texts: text by the tag that it stands in directly.
    """

    def __init__(self, page: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in ("meta", "link", "br", "img", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]

    @property
    def data(self) -> Any:
        """What the gallery is made from."""
        return json.loads(self.texts["script"][0])

    @property
    def text(self) -> str:
        return " ".join(" ".join(part) for tag, part in self.texts.items() if tag not in ("script", "style"))


def source_hash(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
