"""When a command stops before it is done: after a time, at a time of day, at a size.

Limits are looked at between shards, so what was drawn is never thrown away for one.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from dsfactory.errors import UserError

GB = 10**9

RESERVE = GB // 2
"""With a limit on size, bytes that are left free on the disk beside the next shard."""

LOOK_EVERY_S = 300.0
"""With a limit on size, seconds after which all files of a run are looked at again: others may write there too."""

_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True)
class Stop:
    """Why a command stopped early.

    Attributes:
        reason: what was reached, for the user.
        needs_room: a disk filled up, which someone has to look at; otherwise time was over as planned.
    """

    reason: str
    needs_room: bool = False


@dataclass(frozen=True)
class Surroundings:
    """The clocks and the disk that limits are measured by.

    Attributes:
        monotonic: seconds since some moment; never jumps.
        now: seconds since the epoch, as the wall clock has it.
        free: bytes that can still be written to the disk of a folder.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


SYSTEM = Surroundings()


@dataclass
class _Look:
    """What a look at all files of a run found, and what may have come since.

    Attributes:
        run: the run's folder.
        time: when it was, by the steady clock.
        size: bytes of all files.
        largest: bytes of a stage's largest shard, by the stage's folder; 0 where none was finished.
        since: bytes that the shards will have at most that were unfinished then, or begun since.
    """

    run: Path
    time: float
    size: int
    largest: dict[Path, int]
    since: int


class Limits:
    """What a command may use. Time runs from here on.

    Args:
        budget: a duration such as ``"6h"``, ``"1h30m"``, ``"20m"``, ``"90s"``; None for no limit.
        until: a local time of day such as ``"06:00"``, its next occurrence; None for no limit.
        max_gb: how large the run may become, in GB (10⁹ bytes); None for no limit.
        around: clocks and disk.

    Raises:
        UserError: a value cannot be read.
    """

    def __init__(
        self,
        budget: str | None = None,
        until: str | None = None,
        max_gb: float | None = None,
        around: Surroundings = SYSTEM,
    ) -> None:
        self._budget, self._until, self._max_gb, self._around = budget, until, max_gb, around
        start, now = around.monotonic(), around.now()
        self._budget_end = start + parse_duration(budget) if budget is not None else None
        self._until_time = next_occurrence(until, now) if until is not None else None
        # Counted by the steady clock too: a wall clock that is set back must not prolong the night.
        self._until_end = start + self._until_time - now if self._until_time is not None else None
        self._look: _Look | None = None
        self._hands: dict[Path, int] = {}
        """Shards of each stage, by its folder, that were being made when the last one was begun."""
        self._looking = threading.Lock()  # stages that overlap ask from two threads

    def reached(self, run: Path, stage: Path, made: int, in_hand: int = 0, made_here: bool = True) -> Stop | None:
        """Which limit forbids to begin another shard.

        Args:
            run: the run's folder.
            stage: the stage's folder; its largest shard is what the next one may take.
            made: shards of the stage that this command has made. Time never stops the first, so that every
                call gets ahead, however short its budget is.
            in_hand: shards of the stage that other workers are making. How large they become is not known before the
                first is finished: until then, room for them is not asked for.
            made_here: shards take room on this machine's disk.
        """
        return (self._time_over() if made else None) or self._no_room(run, stage, in_hand, made_here)

    def _time_over(self) -> Stop | None:
        elapsed = self._around.monotonic()
        if self._budget_end is not None and elapsed >= self._budget_end:
            return Stop(f"the budget of {self._budget} is used up")
        if self._until_end is not None and self._until_time is not None and (
            elapsed >= self._until_end or self._around.now() >= self._until_time
        ):  # fmt: skip
            return Stop(f"it is {self._until}")
        return None

    def _no_room(self, run: Path, stage: Path, in_hand: int, made_here: bool) -> Stop | None:
        if self._max_gb is None:
            return None
        with self._looking:
            self._hands[stage] = 1 + in_hand
            # All files are looked at only when the run may have become too large, for that takes long in a large run.
            if self._look is None or not self._surely_fits(self._look, run, stage):
                self._look = look = self._look_at(run)
                if look.size + look.largest[stage] * (1 + in_hand) > self._max_gb * GB:
                    return Stop(f"the run has {look.size / GB:.2f} GB and may have {self._max_gb:g}", needs_room=True)
            following = self._look.largest.get(stage, 0) * (1 + in_hand)
        if not made_here:
            return None
        free = self._around.free(run)
        if free - following < RESERVE:
            return Stop(f"the disk has only {free / GB:.2f} GB left", needs_room=True)
        return None

    def _surely_fits(self, look: _Look, run: Path, stage: Path) -> bool:
        """Whether one more shard fits, going by an earlier look; the shard is added to what has come since."""
        assert self._max_gb is not None
        if look.run != run or self._around.monotonic() - look.time >= LOOK_EVERY_S:
            return False
        following = look.largest.get(stage, 0)
        if following == 0 and largest_shard(stage) > 0:
            return False  # what was begun since counted as nothing
        if look.size + look.since + following > self._max_gb * GB:
            return False
        look.since += following
        return True

    def _look_at(self, run: Path) -> _Look:
        size, largest = folder_size(run), {stage: largest_shard(stage) for stage in self._hands}
        since = sum(largest[stage] * hands for stage, hands in self._hands.items())
        return _Look(run, self._around.monotonic(), size, largest, since)


UNLIMITED = Limits()


def parse_duration(text: str) -> float:
    """``"1h30m"`` in seconds.

    Raises:
        UserError: it is not a duration above zero.
    """
    match = _DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if total == 0:
        raise UserError(f"--budget {text!r} is not a duration: write it as 90s, 20m, 6h or 1h30m")
    return float(total)


def next_occurrence(text: str, now: float) -> float:
    """The first moment after ``now`` at which local clocks show ``text``; both in seconds since the epoch.

    Raises:
        UserError: it is not a time of day.
    """
    match = _TIME.fullmatch(text.strip())
    hour, minute = (int(part) for part in match.groups()) if match else (24, 0)
    if hour > 23 or minute > 59:
        raise UserError(f"--until {text!r} is not a time of day: write it as 06:00 or 22:30")
    # Without a zone, datetime.timestamp() goes by the local rules of that very day: summer time is minded.
    today = datetime.fromtimestamp(now).replace(hour=hour, minute=minute, second=0, microsecond=0)
    following = (today + timedelta(days=1)).timestamp()
    return today.timestamp() if today.timestamp() > now else following


def folder_size(folder: Path) -> int:
    """Bytes in all files below a folder. Files that vanish meanwhile (another process's) do not count."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(top, name)).st_size
            except FileNotFoundError:
                continue
    return total


def largest_shard(stage: Path) -> int:
    """Bytes of the largest file among a stage's shards; 0 when it has finished none."""
    return max((path.stat().st_size for suffix in ("tar", "parquet") for path in stage.glob(f"*.{suffix}")), default=0)
