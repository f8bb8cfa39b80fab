"""The HTTP client with which a hub is asked: bounded waits, and back-off before it gives up."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx2
from huggingface_hub import constants, get_session, set_client_factory
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from dsfactory.models.hub_errors import GaveUpError, HubBusyError, NotTheHubError

BUSY = (408, 429, 500, 502, 503, 504)
"""Answers that may be others a little later."""

LONGEST_WAIT_S = 300.0
"""A hub that wants to be left alone for longer is not waited for; its limits are counted in windows of five minutes."""

Note = Callable[[str, float, float], None]
"""Is told why a request is made again, how many seconds later, and how many were spent on it in vain."""


def be_patient(waits: tuple[float, ...], note: Note) -> None:
    """Let huggingface_hub ask through a :class:`PatientClient` from here on.

    Args:
        waits: seconds before each further try. Until the hub has answered for the first time there are only two
            further tries: a machine without a network is to know soon.
        note: see :data:`Note`.
    """
    answered: list[bool] = []
    hooks = get_session().event_hooks  # they keep offline mode
    set_client_factory(lambda: PatientClient(waits, note, answered, event_hooks=hooks))


class PatientClient(httpx2.Client):
    """A client that repeats what fails for a while; redirects and proxies are those of its base."""

    def __init__(self, waits: tuple[float, ...], note: Note, answered: list[bool], **settings: Any) -> None:
        super().__init__(follow_redirects=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, **settings)
        self._waits, self._note, self._answered = waits, note, answered

    def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        """Send a request, again and again if need be.

        Raises:
            GaveUpError: the network failed each time; not one of httpx2's own errors, which huggingface_hub would
                answer with more tries.
            HubBusyError: the hub had no time each time, or wants to be left alone for long.
            NotTheHubError: a web page came where JSON was asked for.
        """
        if request.url.path.endswith("/agent-harnesses"):
            raise GaveUpError("huggingface_hub would like to know who asks; that is nothing a model needs")
        given = request.extensions.get("timeout", {})
        bound = constants.HF_HUB_DOWNLOAD_TIMEOUT
        request.extensions["timeout"] = {
            part: given.get(part) or bound for part in ("connect", "read", "write", "pool")
        }
        for tries in count():
            start = time.monotonic()
            try:
                response = super().send(request, **how)
            except (httpx2.ProxyError, httpx2.UnsupportedProtocol):
                raise
            except httpx2.TransportError as error:
                wait = self._wait(tries)
                if wait is None or "SSL" in str(error):
                    raise GaveUpError(str(error)) from error
                self._pause("the hub does not answer", wait, start)
                continue
            self._answered.append(True)
            if response.status_code not in BUSY:
                break
            asked = _asked_wait(response)
            response.close()
            wait = self._wait(tries)
            if wait is None or (asked or 0) > LONGEST_WAIT_S:
                raise HubBusyError(response.status_code, asked)
            busy = "the hub asks for a pause" if response.status_code == 429 else "the hub is out of order"
            self._pause(f"{busy} (status {response.status_code})", wait if asked is None else asked + 0.1, start)
        if request.url.path.startswith("/api/") and "text/html" in response.headers.get("content-type", ""):
            raise NotTheHubError(str(request.url))
        if how.get("stream"):
            response.stream = _Resumable(response.stream, self._note)
        return response

    def _wait(self, tries: int) -> float | None:
        """Seconds before the next try, after so many; None when that was the last."""
        waits = self._waits if self._answered else self._waits[:2]
        return waits[tries] if tries < len(waits) else None

    def _pause(self, why: str, seconds: float, start: float) -> None:
        self._note(why, seconds, time.monotonic() - start)
        time.sleep(seconds)


class _Resumable(httpx2.SyncByteStream):
    """A body whose breaking off is told to huggingface_hub in the way in which it goes on: from the byte it has."""

    def __init__(self, stream: Any, note: Note) -> None:
        self._stream, self._note = stream, note

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except httpx2.TransportError as error:
            self._note("the connection broke off", 1.0, 0.0)
            raise httpx2.RemoteProtocolError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        self._stream.close()


def _asked_wait(response: httpx2.Response) -> float | None:
    """The seconds after which a busy hub wants to be asked again."""
    limits = parse_ratelimit_headers(response.headers)
    if limits is not None and limits.remaining == 0:
        return float(limits.reset_in_seconds)
    told = response.headers.get("retry-after", "").strip()
    return float(told) if told.isdigit() else None
