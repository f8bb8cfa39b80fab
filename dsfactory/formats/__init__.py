"""Finished samples to datasets that other tools read, and back: one folder per format, one line for it here."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dsfactory.errors import UserError

if TYPE_CHECKING:
    from dsfactory.formats.checker import ExportCheck
    from dsfactory.formats.reading.labels import Expected, FixedLabels, Unread
    from dsfactory.formats.reading.source import Source
    from dsfactory.formats.writer import DatasetWriter

    Reader = Callable[[Source, Expected], Iterator[FixedLabels | Unread]]
    """From what another tool wrote, and what is known of the run, to labels, one per image, or why there are none."""


@dataclass(frozen=True)
class Format:
    """What writes, reads and checks a format. Its modules are loaded when they are asked for, not before.

    Attributes:
        name: what ``--format`` calls it.
        readers: who reads it, for the help; empty where the name says it all.
        write: its :class:`~dsfactory.formats.writer.DatasetWriter`, as ``module:name`` within this package.
        read: its reader of corrections, in the same way; empty when there is none.
        check: its :class:`~dsfactory.formats.checker.ExportCheck`, in the same way.
    """

    name: str
    readers: str
    write: str
    read: str = ""
    check: str = "checker:ChecksumCheck"

    @property
    def help(self) -> str:
        """Name and readers."""
        return f"{self.name} ({self.readers})" if self.readers else self.name

    def writer(self) -> "type[DatasetWriter]":
        return _load(self.write)  # type: ignore[no-any-return]

    def reader(self) -> "Reader":
        return _load(self.read)  # type: ignore[no-any-return]

    def checker(self) -> "type[ExportCheck]":
        return _load(self.check)  # type: ignore[no-any-return]


_FORMATS = (
    Format("coco", "", "coco.write:CocoWriter", "coco.read:read_coco", "coco.check:CocoCheck"),
    Format("cvat", "", "cvat.write:CvatWriter", "cvat.read:read_cvat"),
    Format("hf", "ImageFolder", "huggingface.write:HuggingFaceWriter"),
    Format("mvtec", "anomalib", "mvtec.write:MvtecWriter"),
    Format("labelstudio", "", "labelstudio.write:LabelStudioWriter", "labelstudio.read:read_labelstudio"),
    Format("panoptic", "Mask2Former", "panoptic.write:PanopticWriter"),
    Format("parquet", "Hugging Face", "parquet.write:ParquetWriter"),
    Format("png", "mmsegmentation", "png.write:PngWriter", "png.read:read_png"),
    Format("voc", "", "voc.write:VocWriter", "voc.read:read_voc", "voc.check:VocCheck"),
    Format("webdataset", "", "webdataset.write:WebDatasetWriter"),
    Format("yolo", "", "yolo.write:YoloWriter"),
)
FORMATS = {item.name: item for item in _FORMATS}
IMPORT_FORMATS = {item.name: item for item in _FORMATS if item.read}
"""Those in which corrections come back."""


def find_format(name: str, known: dict[str, Format] = FORMATS) -> Format:
    """A format by its name.

    Raises:
        UserError: there is none of that name among those that are known.
    """
    if name in known:
        return known[name]
    near = [] if name in FORMATS else difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    advice = f"did you mean '{near[0]}'? " if near else ""
    raise UserError(f"unknown format {name!r}: {advice}There are {', '.join(sorted(known))}")


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)
