"""Progress: a live bar on a terminal, plain lines in a pipe or under cron, silence with ``--json``."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self

PLAIN_EVERY_S = 30.0


class Progress(Protocol):
    """What an engine tells whoever is watching. Use as a context manager around a stage."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """A stage starts; ``done`` of ``total`` samples were finished by an earlier run."""

    def advance(self) -> None:
        """One more sample is through."""

    def note(self, line: str) -> None:
        """Something a person should read."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows no progress; notes go to standard error, where they cannot spoil ``--json``."""

    def begin(self, stage: str, total: int, done: int) -> None:
        pass

    def advance(self) -> None:
        pass

    def note(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Plain(Silent):
    """A line when a stage starts, one every half minute, on standard error."""

    def begin(self, stage: str, total: int, done: int) -> None:
        self._stage, self._total, self._done = stage, total, done
        self._start, self._start_done = time.monotonic(), done
        self._last = self._start
        self.note(f"{stage}: {total} samples" + (f", {done} finished earlier" if done else ""))

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._last >= PLAIN_EVERY_S and self._done < self._total:
            self._last = now
            left = (now - self._start) / (self._done - self._start_done) * (self._total - self._done)
            self.note(f"{self._stage}: {self._done} of {self._total}, about {_duration(left)} left")


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
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        return self

    def begin(self, stage: str, total: int, done: int) -> None:
        self._task = self._bar.add_task(stage, total=total, completed=done)

    def advance(self) -> None:
        self._bar.advance(self._task)

    def note(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def choose_progress(silent: bool) -> Progress:
    """The progress that fits where the output goes; none with ``--json`` and ``--quiet``."""
    if silent:
        return Silent()
    return Bar() if sys.stderr.isatty() else Plain()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
