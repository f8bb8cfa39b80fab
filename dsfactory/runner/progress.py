"""Progress: a live bar on a terminal, plain lines in a pipe or under cron, silence with ``--json`` and ``--quiet``."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from dsfactory.core.words import counted
from dsfactory.models.download_bar import show_downloads
from dsfactory.runner.signals import check_stop
from dsfactory.storage.remote import shown

if TYPE_CHECKING:
    from rich.progress import TaskID

PLAIN_EVERY_S = 30.0


class Progress(Protocol):
    """What an engine tells whoever is watching. Use as a context manager around the stages, which may overlap."""

    def begin(self, stage: str, total: int, done: int, unit: str = "samples") -> None:
        """A stage starts; ``done`` of ``total`` were finished earlier. ``unit`` is a plural in -s."""

    def advance(self, stage: str | None = None, samples: int = 1) -> None:
        """So many more samples of a stage are through; by default of the stage that began last."""

    def note(self, line: str) -> None:
        """Something a person may want to know."""

    def warn(self, line: str) -> None:
        """Something that someone should look at, even with ``--quiet``."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows no progress; notes go to standard error, where they cannot spoil ``--json``."""

    def begin(self, stage: str, total: int, done: int, unit: str = "samples") -> None:
        pass

    def advance(self, stage: str | None = None, samples: int = 1) -> None:
        pass

    def note(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def warn(self, line: str) -> None:
        self.note(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Quiet(Silent):
    """Only what someone should look at, for cron."""

    def note(self, line: str) -> None:
        pass

    def warn(self, line: str) -> None:
        super().note(line)


class Plain(Silent):
    """A line when a stage starts, one every half minute, on standard error."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}

    def begin(self, stage: str, total: int, done: int, unit: str = "samples") -> None:
        self._paces.pop(stage, None)
        self._paces[stage] = _Pace(total, done, unit)
        self.note(f"{stage}: {counted(total, unit.removesuffix('s'))}" + (f", {done} finished earlier" if done else ""))

    def advance(self, stage: str | None = None, samples: int = 1) -> None:
        name = stage or next(reversed(self._paces))
        pace = self._paces[name]
        pace.done += samples
        now = time.monotonic()
        if now - pace.told >= PLAIN_EVERY_S and pace.done < pace.total:
            pace.told = now
            left = (now - pace.start) / (pace.done - pace.before) * (pace.total - pace.done)
            self.note(f"{name}: {pace.done} of {pace.total} {pace.unit}, about {_duration(left)} left")


class _Pace:
    def __init__(self, total: int, done: int, unit: str) -> None:
        self.total, self.done, self.before, self.unit = total, done, done, unit
        self.start = self.told = time.monotonic()


class Bar(Silent):
    """A Rich progress bar with an ETA."""

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]:<7}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        self._tasks: dict[str, TaskID] = {}
        return self

    def begin(self, stage: str, total: int, done: int, unit: str = "samples") -> None:
        self._tasks.pop(stage, None)
        self._tasks[stage] = self._bar.add_task(stage, total=total, completed=done, unit=unit)

    def advance(self, stage: str | None = None, samples: int = 1) -> None:
        self._bar.advance(self._tasks[stage or next(reversed(self._tasks))], samples)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the terminal to another bar for a block."""
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    def note(self, line: str) -> None:
        self._bar.console.print(shown(line), markup=False, highlight=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class Reports:
    """What stages do once per run, as progress: a :class:`dsfactory.core.stage.Reporter` for one call of a stage.

    Raises:
        StopSignal: when called after a signal.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done: dict[str, int] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        check_stop()
        if name not in self._done:
            self._done[name] = done
            self._progress.begin(name, total, done, "steps")
        elif done > self._done[name]:  # less: whoever did it is gone, and another does it again
            self._progress.advance(name, done - self._done[name])
            self._done[name] = done


def choose_progress(silent: bool, quiet: bool = False) -> Progress:
    """The progress that fits where the output goes.

    Args:
        silent: none, as with ``--json``; notes are still told.
        quiet: neither progress nor notes, only what someone should look at.
    """
    silent = silent or quiet
    chosen = Quiet() if quiet else Silent() if silent else Bar() if sys.stderr.isatty() else Plain()
    show_downloads(silent, chosen.aside if isinstance(chosen, Bar) else nullcontext)
    return chosen


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
