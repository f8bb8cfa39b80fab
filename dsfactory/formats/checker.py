"""What the examinations of all export formats share."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dsfactory.formats import ExportSample
from dsfactory.formats.writer import encode_image

Place = tuple[str, str]
"""A file of the export, and what is wrong with it."""

JPEG_LEVELS = 8.0
"""Mean difference of two JPEGs of one image that another version of the encoder may make, in levels of 255."""


class ExportCheck(ABC):
    """Reads one export. One subclass per format.

    Args:
        root: the export's folder.
        classes: display names; the first has id 1.
        settings: the settings with which it was made.
        counts: images and instances by split, as the manifest has them.
    """

    def __init__(
        self, root: Path, classes: tuple[str, ...], settings: dict[str, Any], counts: dict[str, dict[str, int]]
    ) -> None:
        self.root = root
        self.classes = classes
        self.settings = settings
        self.counts = counts
        self.images = 0
        self._unreadable: set[str] = set()

    @abstractmethod
    def faults(self) -> Iterator[Place]:
        """What is wrong within the export; counts the images on the way."""

    @abstractmethod
    def compare(self, samples: Iterable[ExportSample]) -> Iterator[Place]:
        """What differs from the samples of which it was made. Called after :meth:`faults`."""

    def image_size(self, name: str) -> tuple[int, int]:
        """Width and height of an image of the export, which is decoded in full.

        Raises:
            ValueError: it is missing or no readable image.
        """
        try:
            with Image.open(self.root / name) as image:
                image.load()
                return image.size
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            self._unreadable.add(name)
            missing = isinstance(error, FileNotFoundError)
            raise ValueError("is missing" if missing else f"is not a readable image ({error})") from error

    def same_image(self, name: str, sample: ExportSample) -> bool:
        """Whether an image of the export is the sample's; one that :meth:`image_size` refused is not judged again."""
        if name in self._unreadable:
            return True
        data = (self.root / name).read_bytes()
        expected = encode_image(sample.image_png, self.settings["image_format"])
        if data == expected or self.settings["image_format"] == "png":
            return data == expected
        with Image.open(io.BytesIO(data)) as found, Image.open(io.BytesIO(expected)) as wanted:
            if found.size != wanted.size or found.mode != wanted.mode:
                return False
            difference = np.asarray(found, dtype=np.float32) - np.asarray(wanted, dtype=np.float32)
        return float(np.abs(difference).mean()) <= JPEG_LEVELS
