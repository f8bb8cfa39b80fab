"""Every command that the documents show is one that the program takes."""

import re
import shlex
from contextlib import nullcontext
from pathlib import Path

import pytest
import typer

from dsfactory.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands_of(page: Path) -> list[str]:
    """The dsfactory commands in a page's bash blocks."""
    blocks = re.findall(r"^```(?:bash|console|sh)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("dsfactory ")]


@pytest.fixture(autouse=True)
def no_bucket(monkeypatch, tmp_path) -> None:
    """Commands on a bucket are only read here: opening it would need a network."""
    monkeypatch.setattr("dsfactory.core.mirror.open_mirror", lambda url, content: nullcontext(tmp_path))


SHOWN = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in commands_of(page)]


def parse(line: str) -> None:
    """Let the command's own parser read a line, without running it."""
    command = typer.main.get_command(app)
    arguments = shlex.split(line, comments=True)[1:]
    context = None
    while hasattr(command, "commands"):
        name = arguments.pop(0)
        command = command.commands[name]
        context = typer.Context(command, parent=context, info_name=name)
    command.make_context(context.info_name, arguments)


def test_the_pages_show_commands() -> None:
    assert len(SHOWN) >= 30


@pytest.mark.parametrize("line", SHOWN)
def test_a_shown_command_is_understood(line: str) -> None:
    parse(line)


def test_a_wrong_flag_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--clases"):
        parse("dsfactory generate --clases dog")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
