"""What the examinations of all export formats share: by what their files say, or by a list of checksums."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from PIL import ImageOps

from dsfactory.dataset.sample import ExportSample
from dsfactory.formats.marking import mark_image
from dsfactory.formats.reading.images import open_image, same_picture
from dsfactory.formats.writer import CHECKSUMS, encode_image

Place = tuple[str, str]
"""A file of the export, and what is wrong with it."""

_IMAGES = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")


class ExportCheck(ABC):
    """Reads one export.

    Args:
        root: the export's folder.
        classes: display names; the first has id 1.
        settings: the settings with which it was made.
        counts: images and instances by split, as the manifest has them.

    Attributes:
        images: how many images were found.
    """

    def __init__(
        self, root: Path, classes: tuple[str, ...], settings: dict[str, Any], counts: dict[str, dict[str, int]]
    ) -> None:
        self.root = root
        self.classes = classes
        self.settings = settings
        self.counts = counts
        self.images = 0

    @abstractmethod
    def faults(self) -> Iterator[Place]:
        """What is wrong within the export; counts the images on the way."""

    @abstractmethod
    def compare(self, samples: Iterable[ExportSample]) -> Iterator[Place]:
        """What differs from the samples that it was made from. Called after :meth:`faults`."""


class ContentCheck(ExportCheck):
    """Reads what the files say. One subclass per format that can be read in full.

    Attributes:
        lists: the file or folder that names the images.
        found: image file by :meth:`place_of` its sample, which :meth:`faults` fills in.
    """

    lists: ClassVar[str]

    def __init__(self, *export: Any) -> None:
        super().__init__(*export)
        self.found: dict[str, str] = {}
        self._unreadable: set[str] = set()

    @abstractmethod
    def label_faults(self, name: str, sample: ExportSample) -> Iterator[Place]:
        """How the labels of an image file differ from those of its sample."""

    def compare(self, samples: Iterable[ExportSample]) -> Iterator[Place]:
        left = dict(self.found)
        for sample in samples:
            name = left.pop(self.place_of(sample), "")
            if not name:
                yield self.lists, f"sample {sample.key} of the run is not there"
                continue
            if name in self._unreadable or sample.lost:  # it may have been exported as it was, or as the run has it
                continue
            if not self.is_left_out(name) and not self._is_image_of(name, sample):
                yield name, "is not the image of the run's sample"
            yield from self.label_faults(name, sample)
        for name in left.values():
            yield name, "is no sample of the run"

    def place_of(self, sample: ExportSample) -> str:
        """By what :attr:`found` knows a sample."""
        return sample.name

    def is_left_out(self, name: str) -> bool:
        """Whether an image file is not there because the user's pictures were to stay where they are."""
        return self.settings.get("copy") == "none" and not (self.root / name).exists()

    def read(self, name: str) -> bytes:
        """A file of the export.

        Raises:
            ValueError: it is missing, or cannot be read.
        """
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise ValueError(_trouble(error)) from error

    def image_size(self, name: str) -> tuple[int, int]:
        """Width and height of an image of the export, which is decoded in full.

        Raises:
            ValueError: it is missing or no readable image; :meth:`compare` does not judge it again.
        """
        self._unreadable.add(name)
        data = self.read(name)
        try:
            size = ImageOps.exif_transpose(open_image(data, _IMAGES)).size
        except ValueError as error:
            raise ValueError(f"is not a readable image ({error})") from error
        self._unreadable.remove(name)
        return size

    def _is_image_of(self, name: str, sample: ExportSample) -> bool:
        data = self.read(name)
        if sample.original is not None and data == sample.original.data:
            return True
        expected = encode_image(sample.upright_png(), self.settings["image_format"])
        if self.settings.get("provenance") is True:
            expected = mark_image(expected, sample.media)
        if data == expected or self.settings["image_format"] == "png":
            return data == expected
        found, wanted = (np.asarray(open_image(image, _IMAGES)) for image in (data, expected))
        return same_picture(found, wanted)


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
                yield name, _trouble(error)
                continue
            if found != expected:
                yield name, "is not what was exported"

    def compare(self, samples: Iterable[ExportSample]) -> Iterator[Place]:
        """Nothing: the files are those that were written of these samples, or :meth:`faults` has said so."""
        return iter(())


def is_within(name: str) -> bool:
    """Whether a relative name, with slashes, stays in its folder."""
    return bool(name) and not {"", ".", ".."} & {*name.split("/")}


def _trouble(error: OSError) -> str:
    return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
