"""The help of every command, as a person sees it. ``REFRESH_HELP=1 pytest tests/cli/test_help.py`` writes it anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dsfactory.cli.app import app
from dsfactory.core.flags import Panel
from dsfactory.stages import STAGES
from tests.cli.asked import all_commands, context_of, options_of

SHOWN = Path(__file__).parent / "help"
WIDTH = 100

OWN = {name: entry for name, entry in STAGES.entries.items() if not entry.package}
WITH_COMMAND = [name for name, entry in OWN.items() if not entry.facts.inline]
OURS = [words for words, _ in all_commands() if not words or words[0] not in {*STAGES.entries} - {*OWN}]
SHARED = {
    "--config", "--set", "--redo", "--defaults", "--dry-run", "--json", "--quiet", "--budget", "--until", "--max-gb",
    "--workers", "--devices", "--engine", "--address",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_agreed(monkeypatch):
    """A terminal of one width, and no stages of other packages."""
    monkeypatch.setitem(STAGES.__dict__, "entries", OWN)
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", WIDTH)
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", False)


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_help_is_as_it_was_agreed(words):
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="dsfactory")
    assert done.exit_code == 0, done.output
    text = "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"
    path = SHOWN / f"{'-'.join(words) or 'dsfactory'}.txt"
    if os.environ.get("REFRESH_HELP"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text("utf-8"), "REFRESH_HELP=1 writes the new text"


def test_no_help_is_left_over():
    assert {path.stem for path in SHOWN.iterdir()} == {"-".join(words) or "dsfactory" for words in OURS}


@pytest.mark.parametrize("name", [*WITH_COMMAND, "run"])
def test_every_stage_has_the_shared_flags_in_panels(name):
    command = next(command for words, command in all_commands() if words == (name,))
    assert options_of(command) >= SHARED
    assert command.help
    with context_of(command) as context:
        panels = [item.rich_help_panel for item in command.get_params(context)]
    known = ["Arguments", *(panel.value for panel in Panel)]
    assert {*panels} <= {*known}
    options = panels[:-1]  # without --help
    assert options == sorted(options, key=known.index)


@pytest.mark.skipif({*OWN} != {*STAGES.entries}, reason="a stage of another package is loaded for its help")
@pytest.mark.parametrize("arguments", [["--help"], ["generate", "--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        f"import sys; from dsfactory.cli.app import main\ntry: main({arguments})\nfinally: print(sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.strip(" '") for name in out.splitlines()[-1].strip("[]").split(",")}
    assert not {"torch", "diffusers", "transformers", "pyarrow", "numpy", "fsspec"} & loaded
    if arguments == ["--help"]:
        assert "pydantic" not in loaded


@pytest.mark.parametrize("name", OWN)
def test_facts_said_for_the_help_are_those_of_the_stage(name):
    assert STAGES.facts(name) == STAGES.facts_of(STAGES[name])
