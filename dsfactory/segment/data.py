"""Labelled images for training: what they are, and those of a run."""

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.shard import Parts
from dsfactory.errors import DamagedImage, DamagedShard
from dsfactory.storage.remote import open_stored

Image = NDArray[np.uint8]
"""An RGB image: uint8 of shape (height, width, 3), sRGB in [0, 255]."""

Labels = NDArray[np.uint8]
"""A label map: uint8 of shape (height, width); class ids from 0 (background), 255 void."""


class Images(Protocol):
    """Images that may be loaded when they are asked for. Any sequence of arrays is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Image: ...


class LabelledImages(Protocol):
    """Images with label maps of the same size. Any sequence of such pairs is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Image, Labels]: ...


@dataclass(frozen=True)
class FilePlace:
    """Where a file lies within an uncompressed tar."""

    tar: Path
    offset: int
    size: int

    def read(self) -> bytes:
        with open_stored(self.tar, keep=True) as file:
            file.seek(self.offset)
            return file.read(self.size)


def index_tar(path: Path, extension: str) -> dict[str, FilePlace]:
    """Sample keys to the places of their files ``{key}.{extension}`` in a shard's tar, for reading in any order.

    Raises:
        DamagedShard: not a readable tar; or, when it is asked for, a sample that has no such file.
    """
    places: dict[str, FilePlace] = Parts({}, f"{path}: the list of {extension}")
    try:
        with open_stored(path, keep=True) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                key, _, found = member.name.partition(".")
                if found == extension and member.isreg() and not member.issparse():
                    places[key] = FilePlace(path, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise DamagedShard(f"{path}: not a readable tar ({type(error).__name__})") from error
    return places


class StoredImages:
    """Pairs that stay on disk until they are asked for, so that memory does not grow with the dataset.

    Args:
        places: per sample the places of its image (PNG) and of its mask (palette or grey PNG).
    """

    def __init__(self, places: Sequence[tuple[FilePlace, FilePlace]]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[Image, Labels]:
        places = self._places[index]
        image, mask = decode_rgb_png(places[0].read()), decode_index_png(places[1].read())
        if image.shape[:2] != mask.shape:
            raise DamagedImage(f"{places[1].tar}: a mask of {mask.shape} does not fit its image of {image.shape[:2]}")
        return image, mask
