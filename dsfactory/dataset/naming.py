"""Names of samples' files: those of somebody's own pictures, told apart where two would be the same."""

import re
import unicodedata
from itertools import chain, count
from pathlib import PurePosixPath

_UNFIT = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f-\x9f\ud800-\udfff]')
"""What some file system or some reader of lists cannot have in a name."""


class Names:
    """Names of the samples of a dataset, no two the same on any file system. Ask for them in the samples' order.

    Attributes:
        changed: pictures whose name was taken, with the names that they got.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self.changed: dict[str, str] = {}

    def of_picture(self, file: str) -> str:
        """The name of a picture's files, without extension, its folders kept.

        Args:
            file: relative to the folder of the pictures, with slashes.

        Example:
            >>> names = Names()
            >>> [names.of_picture(file) for file in ("a/IMG_1.jpg", "a/IMG_1.png", "a/img_1.JPG")]
            ['a/IMG_1', 'a/IMG_1-png', 'a/img_1-jpg']
        """
        path = PurePosixPath(_UNFIT.sub("_", file))
        name = self._first(path.with_suffix("").as_posix(), path.suffix[1:].lower())
        if name != path.with_suffix("").as_posix():
            self.changed[file] = name
        return name

    def of_key(self, key: str) -> str:
        """The name of a sample that is no picture's: its key."""
        return self._first(key, "")

    def _first(self, name: str, suffix: str) -> str:
        tries = chain([name], [f"{name}-{suffix}"] if suffix else [], (f"{name}-{number}" for number in count(2)))
        found = next(item for item in tries if _folded(item) not in self._taken)
        self._taken.add(_folded(found))
        return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
