"""Every command, flag, make target, script and file that the documents show is there, and the parsers take it."""

import re
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import typer

from dsfactory.cli.app import app
from tests.cli.asked import all_commands, options_of
from tests.shown import PAGES, ROOT, SHELL, blocks, commands, shell_lines, spans, words

BROUGHT = "dsfactory flip "
"""The command of the example package: ``tests/stages/test_contract.py`` installs it and runs the command."""

SHOWN = [
    pytest.param(line, id=f"{page.name}: {line}")
    for page in PAGES
    for line in commands(page, "dsfactory")
    if not line.startswith(BROUGHT)
]
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

INSTALLED = "dsfactory/stages/prompts/data"
"""Where the files of prompts/ are in an installed package; a checkout does not have it."""


@pytest.fixture(autouse=True)
def no_bucket(monkeypatch, tmp_path) -> None:
    """Commands on a bucket are only read here: opening it would need a network."""
    for stream in ("stdout", "stderr"):  # which such a command wraps
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    monkeypatch.setattr("dsfactory.storage.mirror.open_mirror", lambda url, content, order=(): nullcontext(tmp_path))


def parse(line: str) -> None:
    """Let the command's own parser read a line, without running it."""
    command = typer.main.get_command(app)
    arguments = words(line)[1:]
    context = None
    while hasattr(command, "commands") and arguments:
        name = arguments.pop(0)
        command = command.commands[name]
        context = typer.Context(command, parent=context, info_name=name)
    if context is not None and arguments:  # in the text a command may stand for itself: `dsfactory import`
        command.make_context(context.info_name, arguments)


def all_flags() -> set[str]:
    """Every option of every command."""
    return {name for _, command in all_commands() for name in options_of(command)}


def script_flags() -> set[str]:
    """Every option of the scripts."""
    files = [path for folder in ("scripts", "benchmarks", "research") for path in (ROOT / folder).rglob("*.py")]
    return {flag for file in files for flag in re.findall(r'add_argument\("(--[a-z-]+)"', file.read_text("utf-8"))}


def flags_of(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_the_pages_show_commands() -> None:
    assert len(SHOWN) >= 60
    assert {name for param in SHOWN for name in words(param.values[0])[1:2]} >= {
        "generate", "refine", "filter", "splice", "annotate", "evaluate", "export", "import", "run", "report", "status",
        "verify", "prompts", "models",
    }  # fmt: skip


@pytest.mark.parametrize("line", SHOWN)
def test_a_shown_command_is_understood(line: str) -> None:
    parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "dsfactory generate --clases dog",
        "dsfactory generat --classes dog",
        "dsfactory refine --threshold",
        "dsfactory export --format coco extra extra",
    ],
)
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"clases|generat|threshold|extra"):
        parse(line)


@PAGE
def test_code_blocks_say_their_language(page: Path) -> None:
    """So that no command hides in a block that is not looked into."""
    for language, content in blocks(page):
        assert language, content
        assert language in SHELL or not re.search(r"^(dsfactory|make|python) ", content, re.MULTILINE), content


def test_the_example_is_explained_as_it_is() -> None:
    """Every line of the example's classes stands on the page, and nothing else."""
    source = (ROOT / "examples" / "stage_flip" / "stage_flip" / "__init__.py").read_text("utf-8")
    shown = [block for language, block in blocks(ROOT / "docs" / "extending.md") if language == "python"]
    explained = [block for block in shown if block in source]
    left = source[source.index("class FlipConfig") :]
    for block in explained:
        left = left.replace(block, "", 1)
    assert " ".join(left.split()) == (
        'class FlipStage(Stage): """Mirror kept samples from left to right, with their labels."""'
    )
    formats = (ROOT / "dsfactory" / "formats" / "__init__.py").read_text("utf-8")
    assert all(block.strip() in formats for block in shown if block not in explained)


@PAGE
def test_flags_in_the_text_are_there(page: Path) -> None:
    commands_take, scripts_take = all_flags(), script_flags()
    for span in spans(page):
        if span.startswith("dsfactory "):
            assert flags_of(span) <= commands_take, span
        elif span.startswith("--"):
            assert flags_of(span) <= commands_take | scripts_take, span


@PAGE
def test_settings_in_the_text_are_there(page: Path) -> None:
    from dsfactory.jobs.describe import settings

    known = {".".join(setting.path) for setting in settings()}
    for line in [*shell_lines(page), *spans(page)]:
        for name in re.findall(r"--set ([\w.]+)=", line):
            assert name in known or name == "section.name", line


@PAGE
def test_make_targets_are_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for line in commands(page, "make"):
        target, *assignments = words(line)[1:]
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), line
        for name in (assignment.partition("=")[0] for assignment in assignments):
            assert re.search(rf"^{name} \?=", makefile, re.MULTILINE), line


def script_of(line: str) -> Path | None:
    """The file of this project that a line runs, if it runs one."""
    parts = words(line)
    if parts[0] in ("python", "python3"):
        parts = parts[1:]
    if parts and parts[0] == "-m":
        module = ROOT / (parts[1].replace(".", "/") + ".py")
        return module if parts[1].startswith(("scripts.", "benchmarks.", "research.", "dsfactory.")) else None
    return ROOT / parts[0] if parts and re.match(r"(scripts|benchmarks|research)/\S+\.py$", parts[0]) else None


@PAGE
def test_scripts_are_there_and_know_their_flags(page: Path) -> None:
    for line in [*shell_lines(page), *spans(page)]:
        script = script_of(line)
        if script is not None:
            assert script.is_file(), line
            source = script.read_text("utf-8")
            assert all(f'"{flag}"' in source for flag in flags_of(line)), line


@PAGE
def test_files_in_the_text_are_there(page: Path) -> None:
    """Paths of this project's own folders, as code or as a link."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]
    for span in spans(page):
        path = span.split()[0].partition("::")[0]
        ours = re.fullmatch(r"(tests|scripts|benchmarks|research|examples|docs|prompts|dsfactory)/[\w./-]+", path)
        within = re.fullmatch(r"[a-z_]+/[\w/]+\.py", path)  # of the package, as extending.md writes them
        if ours or within:
            places = [ROOT / path, *([ROOT / "dsfactory" / path] if within else [])]
            assert path == INSTALLED or any(place.exists() for place in places), span


@PAGE
def test_anchors_of_other_pages_are_there(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text("utf-8")):
        text = ((page.parent / target) if target else page).read_text("utf-8")
        heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}, anchor
