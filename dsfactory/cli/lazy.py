"""Commands that are only a name until they are asked for: settings and plug-ins are slow to import."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from dsfactory.cli.options import OUTPUT

PANELS = MAKE, IMPROVE, DELIVER, LOOK_AFTER = "Make", "Improve", "Deliver", "Look after"
"""Groups of commands in the help, in their order there."""


class FlagCommand(TyperCommand):
    """A command whose help and parameters are made when they are asked for.

    Args:
        name: of the command.
        about: gives the text of its help.
        make: gives its function, with parameters for Typer.
        panel: where it stands in the help of all commands.
    """

    def __init__(
        self, name: str, about: Callable[[], str], make: Callable[[], Callable[..., None]], panel: str | None = None
    ) -> None:
        super().__init__(name, rich_markup_mode="rich", rich_help_panel=panel)
        self._about = about
        self._make = make

    def describe(self) -> None:
        """Make its help."""
        self.help = self.help or _flowing(self._about())

    def get_params(self, ctx: Any) -> Any:
        if self.callback is None:
            app = typer.Typer(add_completion=False)
            app.command()(self._make())
            made = typer.main.get_command(app)
            self.params, self.callback = made.params, made.callback
            _flow(self)
        found: list[Any] = super().get_params(ctx)
        found[-1].rich_help_panel = OUTPUT  # --help: else a panel of its own comes first
        return found


class Group(TyperGroup):
    """Commands written by hand, and made ones: those of :meth:`made`."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(**facts)
        _flow(self)
        every = {**self.made(), **self.commands}
        self.commands = dict(sorted(every.items(), key=lambda item: _place(item[1])))

    def made(self) -> dict[str, FlagCommand]:
        """The made commands by name."""
        return {}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if isinstance(found, FlagCommand):
            found.describe()
        return found


def flagged(name: str, function: Callable[..., None], places: Sequence[str], panel: str | None = None) -> FlagCommand:
    """A command written by hand that takes the flags of settings, as its first parameter.

    Args:
        name: of the command.
        function: what it does.
        places: see :func:`dsfactory.cli.flags.flags_at`; the classes come on top.
        panel: where it stands in the help of all commands.
    """

    def make() -> Callable[..., None]:
        from dsfactory.cli.flags import Flags, with_flags

        return with_flags(function, Flags(places, classes=True))

    return FlagCommand(name, lambda: function.__doc__ or "", make, panel)


def _place(command: Any) -> int:
    panel = command.rich_help_panel
    return PANELS.index(panel) if panel in PANELS else 0


def _flow(command: Any) -> None:
    """Let the help of a command, and of those below it, flow. Markup costs less time to show than Markdown."""
    command.help, command.rich_markup_mode = _flowing(command.help or ""), "rich"
    for item in command.params:
        item.help = _flowing(getattr(item, "help", None) or "")
    for inner in getattr(command, "commands", {}).values():
        _flow(inner)


def _flowing(text: str) -> str:
    """Paragraphs without the line breaks of the source, in which no bracket is taken for markup."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return re.sub(r"(?<!\\)\[", r"\\[", "\n\n".join(" ".join(part.split()) for part in paragraphs))
