"""What a command line asks for, without doing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import typer
from typer.main import get_command

from dsfactory.cli.app import app
from dsfactory.jobs.job import Request


class _Asked(Exception):
    def __init__(self, request: Request) -> None:
        self.request = request


def _ask(request: Request, progress: Any) -> None:
    raise _Asked(request)


def asked(*arguments: str) -> Request:
    """The request that a command hands to its job."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsfactory.jobs.job.run_job", _ask)
        with pytest.raises(_Asked) as caught:
            app([*arguments], standalone_mode=False)
    return caught.value.request


def all_commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, the whole program first."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), get_command(app))]
    while waiting:
        words, command = waiting.pop(0)
        yield words, command
        context = typer.Context(command, info_name=command.name)
        for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
            waiting.append(((*words, name), command.get_command(context, name)))


@contextmanager
def context_of(command: Any) -> Iterator[Any]:
    """A context in which a command tells its parameters."""
    with typer.Context(command, info_name=command.name) as context:
        yield context


def options_of(command: Any) -> set[str]:
    """The names of a command's options."""
    with context_of(command) as context:
        found = command.get_params(context)
    return {name for item in found for name in (*item.opts, *item.secondary_opts) if name.startswith("-")}
