"""Which of the files below a folder have been deleted, for one who asks again and again.

Only folders that changed since the last time are looked into, so asking costs little however many files there are.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

SETTLED_NS = 2 * 10**9
"""A folder that changed later than this ago may change again without another time of change."""


class Removals:
    """Known files and whether they are still there.

    Args:
        root: the folder.
        names: of the files, relative to it, parts joined by slashes.
    """

    def __init__(self, root: Path, names: Iterable[str] = ()) -> None:
        self._root = root
        self._files: dict[str, set[str]] = {}
        self._complete: dict[str, int] = {}
        """When a folder had changed last as it was found to hold all of its files."""
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        folder, _, file = name.rpartition("/")
        self._files.setdefault(folder, set()).add(file)

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            folder, _, file = name.rpartition("/")
            self._files[folder].discard(file)

    def removed(self) -> list[str]:
        """The known files that are gone; told again each time, until they are forgotten."""
        gone: list[str] = []
        for folder, files in self._files.items():
            gone += [f"{folder}/{file}" if folder else file for file in self._missing(folder, files)]
        return gone

    def _missing(self, folder: str, files: set[str]) -> set[str]:
        path = self._root / folder
        try:
            changed = path.stat().st_mtime_ns  # before the look, so that a change during it is seen the next time
            if self._complete.get(folder) == changed:
                return set()
            missing = files.difference(os.listdir(path))
        except FileNotFoundError:
            return files
        if not missing and time.time_ns() - changed > SETTLED_NS:
            self._complete[folder] = changed
        return missing
