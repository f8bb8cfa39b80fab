"""One process per place in a bucket: a lock object that its holder keeps alive.

A store has no lock that dies with its holder. So the holder creates the object ``NAME.000001``, which only one can, and
writes a sign of life into it every :data:`BEAT_S` seconds. Who finds a lock without one for :data:`LEASE_S` seconds
watches it for :data:`WATCH_S` more, for clocks differ, and takes over by creating the next number, which again only one
can; the highest number holds. On the holder's own machine a dead holder is known at once. A lock that is let go stays
as an empty object, so that no number ever comes twice: a holder that slept while others came and went learns so too.

Both sides write before they look: a holder its sign of life, before it lists the numbers; who takes over its number,
before it reads the old one again. So of a holder that wakes up and one that takes over at least one sees the other.
What a holder may upload between its last look and the next are the bytes that the other one makes too, for results
depend on the settings alone. ``research/lease_model.py`` tries every order of these steps.
"""

import contextlib
import json
import os
import platform
import re
import secrets
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from dsfactory.errors import RunLocked, StopSignal, UserError
from dsfactory.storage.store import Store

BEAT_S = 15.0
LEASE_S = 60.0
WATCH_S = 40.0

FREE = b""
"""What a lock object holds when nobody holds the lock."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as the object says.

    Attributes:
        host: name of the machine.
        pid: of the process, on that machine.
        started: when it took the lock (ISO 8601, UTC).
        beat: its last sign of life, in seconds since the epoch.
        machine: tells machines and containers apart; empty where that is not known.
        born: when the process began, in the machine's own ticks: a pid may be given to another process.
        token: random, tells two locks of one process apart.
    """

    host: str
    pid: int
    started: str
    beat: float
    machine: str
    born: str
    token: str

    @classmethod
    def this_process(cls) -> Self:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(platform.node(), os.getpid(), now, time.time(), _machine(), _born(os.getpid()), secrets.token_hex(8))

    @classmethod
    def parse(cls, data: bytes | None) -> Self | None:
        """The holder that a lock object names; None when it names none."""
        try:
            content = json.loads(data or b"")
            return cls(**{name: kind(content[name]) for name, kind in cls.__annotations__.items()})
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def as_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def is_dead(self) -> bool:
        """Whether this machine knows that the process has ended."""
        return bool(self.machine) and self.machine == _machine() and _born(self.pid) != self.born


class Lease:
    """A lock in a store, held for the block.

    Raises (on entering):
        RunLocked: another process holds it.
        UserError: the store cannot be used.

    Args:
        store: the place.
        name: of the lock; objects are ``NAME.000001`` and so on.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._folder, _, self._stem = name.rpartition("/")
        self._number = 0
        self._me = Holder.this_process()
        self._beaten = time.time()
        self._lost = False
        self._done = threading.Event()
        self._pulse = threading.Thread(target=self._keep_alive, name="lease", daemon=True)

    def __enter__(self) -> Self:
        while not self._take():
            pass
        self._pulse.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._pulse.join(BEAT_S)
        if self._lost and isinstance(error, StopSignal):
            raise self._taken_over() from error
        if self._pulse.is_alive():
            return  # a sign of life that is under way would bring the object back; without one it runs out by itself
        if not self._lost:
            with contextlib.suppress(UserError):
                self._store.write(self._object(self._number), FREE)

    def check(self) -> None:
        """Make sure that the lock is still held, if this process may have slept.

        Raises:
            RunLocked: another process has taken it over.
        """
        if abs(time.time() - self._beaten) > LEASE_S:
            self._beat()
        if self._lost:
            raise self._taken_over()

    def _take(self) -> bool:
        """Try to become the holder; False when another was faster, and all has to be looked at again."""
        looked = time.monotonic()
        number, before = self._newest()
        if number and before is None:
            return False  # gone meanwhile
        holder = Holder.parse(before)
        if holder is not None and not holder.is_dead():
            if not self._is_silent(number, holder):
                return False
            looked = time.monotonic()
        self._number = number + 1
        self._me = Holder.this_process()
        self._beaten = time.time()
        if not self._create():
            return False
        slept, numbers = time.monotonic() - looked > LEASE_S, self._numbers()
        if slept or numbers[-1:] != [self._number] or (number and self._read(number) != before):
            self._store.delete([self._object(self._number)])  # nobody has relied on it
            return False
        self._store.delete([self._object(old) for old in numbers if old < self._number])
        return True

    def _create(self) -> bool:
        created = self._store.create(self._object(self._number), self._me.as_bytes())
        # An answer that was lost makes the library try again and find its own object; a store that knows no exclusive
        # creation lets the last writer win.
        found = Holder.parse(self._read(self._number))
        return (created or found is not None) and found is not None and found.token == self._me.token

    def _is_silent(self, number: int, holder: Holder) -> bool:
        """Watch a lock: whether it shows no sign of life. False when it was let go.

        Raises:
            RunLocked: it shows one.
        """
        if 0 <= time.time() - holder.beat < LEASE_S:
            raise self._in_use(holder)
        print(
            f"{self._store.url} is locked by process {holder.pid} on {holder.host}, which may be gone: "
            f"watching for {WATCH_S:.0f} s whether it is",
            file=sys.stderr,
        )
        end = time.monotonic() + WATCH_S
        while time.monotonic() < end:
            time.sleep(min(BEAT_S / 3, WATCH_S))
            newest, content = self._newest()
            now = Holder.parse(content)
            if newest < number or (newest == number and now is None):
                return False
            if newest > number or (now is not None and now.beat != holder.beat):
                raise self._in_use(now or holder)
        return True

    def _in_use(self, holder: Holder) -> RunLocked:
        return RunLocked(
            f"{self._store.url} is in use by process {holder.pid} on {holder.host} (started {holder.started}): wait "
            f"for it, or stop it first; {LEASE_S:.0f} s after its last sign of life the lock is free"
        )

    def _taken_over(self) -> RunLocked:
        return RunLocked(
            f"{self._store.url} was taken over by another process while this one slept or had no connection: finished "
            "work is kept, let the other one go on"
        )

    def _numbers(self) -> list[int]:
        pattern = re.compile(re.escape(self._stem) + r"\.([0-9]{6,12})")
        matches = [pattern.fullmatch(name) for name in self._store.entries(self._folder)]
        return sorted(int(match[1]) for match in matches if match)

    def _newest(self) -> tuple[int, bytes | None]:
        """The highest number, 0 without a lock, and what its object holds; None when it is gone by now."""
        numbers = self._numbers()
        return (numbers[-1], self._read(numbers[-1])) if numbers else (0, None)

    def _read(self, number: int) -> bytes | None:
        return self._store.read(self._object(number))

    def _object(self, number: int) -> str:
        name = f"{self._stem}.{number:06d}"
        return f"{self._folder}/{name}" if self._folder else name

    def _keep_alive(self) -> None:
        while not self._done.wait(BEAT_S):
            try:
                self._beat()
            except UserError:
                continue  # the work meets the same store and says so
            if self._lost:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _beat(self) -> None:
        now = time.time()
        self._store.write(self._object(self._number), Holder(**{**asdict(self._me), "beat": now}).as_bytes())
        if self._numbers()[-1:] > [self._number]:
            self._lost = True
            self._store.delete([self._object(self._number)])  # the sign of life has brought it back
        else:
            self._beaten = now


def _machine() -> str:
    """Tells machines, and containers on one, apart; empty where /proc does not."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When a process of this machine began, in ticks since the start; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
