"""The pictures that could not be used: a file beside the shards lists them all, the report page the first of them."""

import contextlib
import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from dsfactory.core.run import Run
from dsfactory.core.stage import Conclusion
from dsfactory.dataset.own_files import FOREIGN
from dsfactory.errors import DamagedShard
from dsfactory.storage.atomic import write_atomic

FAILURES = "failures.csv"
"""The file's name."""

MAX_LISTED = 200
"""Pictures that the report page lists."""


def list_failures(run: Run, folder: str, model: str, states: Collection[str] = ("failed", "rejected")) -> Conclusion:
    """Write the file, and say how many pictures it lists.

    Args:
        run: the run.
        folder: of the stage that read the pictures.
        model: name of the model that looked at them.
        states: which of them could not be used.
    """
    failed: list[tuple[str, str, str]] = []
    foreign = 0
    for spec in run.finished(folder):
        with contextlib.suppress(DamagedShard):  # it is said where it was read for the work
            rows = run.reader(folder, spec).rows
            failed += [(row["source"], _state(row), row["reason"]) for row in rows if _state(row) in states]
            foreign += sum(row["reason"] == FOREIGN for row in rows)
    if not failed:
        return Conclusion()
    path = run.stage_folder(folder) / FAILURES
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("file", "status", "reason"), *failed])
    if not path.exists() or path.read_bytes() != text.getvalue().encode():
        write_atomic(path, text.getvalue().encode())
    lines = [f"{len(failed)} pictures could not be used: {path} lists them"]
    if foreign:
        lines.append(
            f"{foreign} of them are foreign to {model}: far from all that it draws, so its labels would be nonsense. "
            "Use --model sd15 for photographs, or --max-distance off to take them anyway"
        )
    return Conclusion(tuple(lines), {"foreign": foreign})


class Failed:
    """Notes the pictures that could not be used, of rows that pass."""

    def __init__(self) -> None:
        self._listed: list[tuple[str, str]] = []
        self._count = 0

    def passing(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same rows."""
        for row in rows:
            if _state(row) != "ok":
                self._count += 1
                if len(self._listed) < MAX_LISTED:
                    self._listed.append((row["source"], row["reason"]))
            yield row

    def lines(self) -> list[tuple[str, str]]:
        """Names and reasons, and how many more there are."""
        more = self._count - len(self._listed)
        return [*self._listed, *([("others", f"{more:,}, see {FAILURES}")] if more else [])]


def _state(row: Mapping[str, Any]) -> str:
    """A picture's status; that of a foreign one is what refine will make of it."""
    return "rejected" if row["reason"] == FOREIGN else str(row["status"])
