"""SIGINT and SIGTERM end a command at once, and finished shards stay."""

import signal

from dsfactory.core.errors import StopSignal

_received: list[str] = []


def stop_on_signals() -> None:
    """From here on SIGINT and SIGTERM raise :class:`StopSignal` wherever the main thread is."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)


def check_stop() -> None:
    """Raise :class:`StopSignal` if a signal has arrived.

    Python drops what is raised inside a destructor or a callback, and a library's bare ``except`` may swallow it: the
    engine asks again between samples.
    """
    if _received:
        raise StopSignal(_received[0])


def _stop(number: int, frame: object) -> None:
    _received.append(signal.Signals(number).name)
    raise StopSignal(_received[0])
