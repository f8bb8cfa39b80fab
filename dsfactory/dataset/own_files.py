"""The user's own files behind samples: an export bears their names, their sizes, and their bytes."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png, encode_index_png
from dsfactory.dataset.naming import Names
from dsfactory.dataset.pictures import kind_of, read_file
from dsfactory.dataset.sample import ExportSample, Original

FILE_SHA256, FILE_WIDTH, FILE_HEIGHT = "file_sha256", "file_width", "file_height"
"""Columns of a source that reads files: what the file was, and its size turned as its EXIF says."""

DISTANCE = "distance"
"""Column of such a source: how far the picture lies from what the model draws, as a share of what is near enough; null
where there is nothing to compare with."""

FOREIGN = "foreign"
"""Reason of a picture that lies too far from it."""


class OwnFiles:
    """The files of a run's pictures, given to samples one after the other, in their order.

    Args:
        files: by sample key, where each was when it was labelled.

    Attributes:
        names: of all samples of the dataset.
        gone: pictures that are not there any more, or not as they were.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self.names = Names()
        self.gone: list[str] = []

    def name(self, row: Mapping[str, Any]) -> str:
        """The name of a sample's files; to be asked for every row, also of those that are not exported.

        What has no file has its key; so have runs that were made before files were noted.
        """
        if row.get(FILE_SHA256) is None:
            return self.names.of_key(row["key"])
        return self.names.of_picture(row["source"])

    def with_file(self, sample: ExportSample, row: Mapping[str, Any], name: str) -> ExportSample:
        """A sample with its name and its file, and its labels in the file's size.

        Args:
            sample: as the run has it.
            row: of the stage that read the picture.
            name: what :meth:`name` said of it.
        """
        if row.get(FILE_SHA256) is None:
            return replace(sample, stem=name)
        source, path = row["source"], self._files.get(sample.key)
        try:
            data = read_file(path) if path is not None else b""
        except ValueError:
            data = b""
        if path is None or hashlib.sha256(data).hexdigest() != row[FILE_SHA256]:
            self.gone.append(source)
            return replace(sample, stem=name, source=source, lost=True)
        size = row[FILE_WIDTH], row[FILE_HEIGHT]
        own = Original(path, path.suffix[1:], kind_of(data), data, size, size != (row["width"], row["height"]))
        masks = sample.mask_png, sample.instances_png
        if own.scaled:
            masks = _in_size(masks[0], size), _in_size(masks[1], size)
        return replace(sample, stem=name, source=source, original=own, mask_png=masks[0], instances_png=masks[1])


def named_rows(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows of the user's own pictures by the names of their files in an export, without extension.

    Names without folders are there too, where that is enough to tell the pictures apart: tools drop folders.

    Args:
        rows: of the stage that read the pictures, all of them in their order.
    """
    own = OwnFiles({})
    found = {own.name(row): row for row in rows if row.get(FILE_SHA256) is not None}
    bare = Counter(PurePosixPath(name).name for name in found)
    alone = {PurePosixPath(name).name: row for name, row in found.items() if bare[PurePosixPath(name).name] == 1}
    return alone | found


def _in_size(index_png: bytes, size: tuple[int, int]) -> bytes:
    return encode_index_png(nearest(decode_index_png(index_png), size[::-1]))


def nearest(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Labels ``(height, width)`` in another shape: each pixel takes the nearest one's value."""
    rows, columns = (
        ((np.arange(wanted) + 0.5) * there / wanted).astype(np.int64)
        for wanted, there in zip(shape, labels.shape, strict=True)
    )
    scaled: NDArray[Any] = labels[rows[:, None], columns]
    return scaled
