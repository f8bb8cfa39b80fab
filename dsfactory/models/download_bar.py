"""How far a download is: a bar on a terminal, a line every half minute elsewhere, nothing when nobody wants to know."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

PLAIN_EVERY_S = 30.0


class DownloadBar(Protocol):
    """What a download tells whoever is watching."""

    def begin(self, total: int) -> None:
        """The number of bytes to come; said again when a download begins again."""

    def at(self, done: int) -> None:
        """The number of bytes that are here."""

    def note(self, line: str) -> None:
        """Something happened that takes time."""


_silent = False
_aside: Callable[[], AbstractContextManager[None]] = nullcontext


def show_downloads(silent: bool, aside: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
    """Say how downloads of this process are shown from here on.

    Args:
        silent: not at all.
        aside: a block in which another bar on the same terminal is put aside.
    """
    global _silent, _aside
    _silent, _aside = silent, aside


@contextmanager
def choose_bar(name: str) -> Iterator[DownloadBar]:
    """The bar that fits where the output goes.

    Args:
        name: the model's.
    """
    if _silent:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Plain(name)
    else:
        with _aside(), _rich(name) as bar:
            yield bar


class Silent:
    """Shows nothing."""

    def begin(self, total: int) -> None:
        pass

    def at(self, done: int) -> None:
        pass

    def note(self, line: str) -> None:
        pass


class Plain:
    """A line at the start, and one every half minute, on standard error."""

    def __init__(self, name: str) -> None:
        self._name, self._total = name, 0
        self._start = self._told = time.monotonic()

    def begin(self, total: int) -> None:
        self._total = total
        self._start = self._told = time.monotonic()
        self.note(f"Fetching model {self._name} from the hub: {total / 1e6:,.0f} MB")

    def at(self, done: int) -> None:
        now = time.monotonic()
        if now - self._told < PLAIN_EVERY_S or not done:
            return
        self._told = now
        rate = done / (now - self._start)
        left = max(0, self._total - done) / rate
        minutes = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        self.note(
            f"model {self._name}: {done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB, {rate / 1e6:.1f} MB/s, "
            f"about {minutes} left"
        )

    def note(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def _rich(name: str) -> Iterator[DownloadBar]:
    """A Rich bar with bytes, rate and ETA."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(f"asking for {name}", total=None)

        class Bar:
            def begin(self, total: int) -> None:
                shown.reset(task, total=total, description=f"fetching {name}")

            def at(self, done: int) -> None:
                shown.update(task, completed=done)

            def note(self, line: str) -> None:
                shown.console.print(line, markup=False, highlight=False)

        yield Bar()
