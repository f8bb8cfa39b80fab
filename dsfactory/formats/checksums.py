"""Examine an export by its list of checksums."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from dsfactory.formats import ExportSample
from dsfactory.formats.checker import ExportCheck, Place
from dsfactory.formats.writer import CHECKSUMS


class ChecksumCheck(ExportCheck):
    """Reads every file that ``SHA256SUMS`` names; for formats whose writer has checksums."""

    def faults(self) -> Iterator[Place]:
        self.images = sum(self.counts["images"].values())
        try:
            lines = (self.root / CHECKSUMS).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            yield CHECKSUMS, f"cannot be read ({type(error).__name__})"
            return
        for line in lines:
            expected, _, name = line.partition("  ")
            path = PurePosixPath(name)
            if not name or path.is_absolute() or ".." in path.parts:
                yield CHECKSUMS, f"has the line {line[:80]!r}, which names no file of the export"
                continue
            try:
                with open(self.root / path, "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                yield (
                    name,
                    "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})",
                )
                continue
            if found != expected:
                yield name, "is not what was exported"

    def compare(self, samples: Iterable[ExportSample]) -> Iterator[Place]:
        """Nothing: the files are those that were written of these samples, or :meth:`faults` has said so."""
        return iter(())
