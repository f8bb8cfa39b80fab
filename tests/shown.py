"""What the documents show: commands in code blocks, and commands and flags in the running text."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "prompts" / "README.md",
    ROOT / "dsfactory" / "models" / "pocket" / "README.md",
]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SHELL = {"bash", "console", "sh"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of a page's code blocks."""
    return _BLOCK.findall(page.read_text("utf-8"))


def shell_lines(page: Path) -> list[str]:
    """Lines of a page's shell blocks; lines that go on are joined, comments left out."""
    text = "\n".join(content for language, content in blocks(page) if language in SHELL).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def spans(page: Path) -> list[str]:
    """Code within a page's running text and tables."""
    return _SPAN.findall(_BLOCK.sub("", page.read_text("utf-8")))


def words(line: str) -> list[str]:
    """A shell line as words, without comments; '…' and '...' stand for what the reader fills in and are left out."""
    return [word for word in shlex.split(line, comments=True) if word not in ("…", "...")]


def commands(page: Path, program: str) -> list[str]:
    """Everything on a page that begins with a program: whole lines of blocks, and code in the text."""
    return [line for line in [*shell_lines(page), *spans(page)] if line.split()[0] == program]
