"""SIGINT and SIGTERM end a command at once, and finished shards stay."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dsfactory.errors import StopSignal

_received: list[str] = []


def stop_on_signals() -> None:
    """From here on SIGINT and SIGTERM raise :class:`StopSignal` wherever the main thread is.

    Inside a destructor Python drops it with a traceback, which is not printed: :func:`check_stop` raises it again.
    """
    said = sys.unraisablehook
    sys.unraisablehook = lambda dropped: None if isinstance(dropped.exc_value, StopSignal) else said(dropped)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)


def check_stop() -> None:
    """Raise :class:`StopSignal` if a signal has arrived.

    Python drops what is raised inside a destructor or a callback, and a library's bare ``except`` may swallow it: the
    engine asks again between samples.
    """
    if _received:
        raise StopSignal(_received[0])


@contextmanager
def signals_noted() -> Iterator[None]:
    """In the block signals only make the next :func:`check_stop` raise.

    For a library that runs handlers inside calls of its own and drops what they raise, as Ray does.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda number, frame: _note(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _note(number: int) -> None:
    _received.append(signal.Signals(number).name)


def _stop(number: int, frame: object) -> None:
    _note(number)
    raise StopSignal(_received[0])
