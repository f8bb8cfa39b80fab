"""What all export formats share: the plan, the files of a dataset under construction."""

import contextlib
import csv
import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal

from PIL import Image

from dsfactory.core.png import decode_rgb_png
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.sample import ExportSample, Labels, Original
from dsfactory.dataset.split import SPLITS, Split
from dsfactory.formats.marking import mark_image
from dsfactory.formats.provenance import Provenance
from dsfactory.storage.remote import published

ImageFormat = Literal["jpg", "png"]

Copy = Literal["copy", "link", "none"]
"""What becomes of somebody's own pictures in an export: they are copied, linked to, or left where they are."""

FILES = "files.csv"
"""In exports of somebody's own pictures: which of them each sample was."""

JPEG_QUALITY = 95

CHECKSUMS = "SHA256SUMS"
"""A line per file of the dataset, as ``sha256sum --check`` reads it."""


def encode_image(image_png: bytes, image_format: ImageFormat) -> bytes:
    """An RGB PNG as it is, or as a JPEG of quality 95 without colour subsampling; equal input gives equal bytes."""
    if image_format == "png":
        return image_png
    buffer = io.BytesIO()
    image = Image.fromarray(decode_rgb_png(image_png))
    image.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


@dataclass(frozen=True)
class ExportPlan:
    """What a dataset writer needs to know.

    Attributes:
        classes: display names; the first has id 1.
        model: who drew the images, or labelled them when they are not drawn.
        image_format: how images are stored.
        rle: COCO segmentations as run lengths instead of polygons.
        drawn: whether the model drew the images; otherwise they are someone's pictures, under terms of their own.
        corrected: a person corrected the labels of some samples, which say so.
        copy: what becomes of the files of these pictures.
        convert: the user chose image_format: pictures of another format are converted. Otherwise they stay as they are
            where the dataset's readers take them.
        remark: a sentence on what was left out, for those who read about the dataset.
        trusted: objects say how far they can be trusted.
        provenance: what the dataset says of where its samples come from; None for nothing.
        splits: those that the dataset has.
        adopted: the labels came with the images.
    """

    classes: tuple[str, ...]
    model: str
    image_format: ImageFormat
    rle: bool
    drawn: bool = True
    corrected: bool = False
    copy: Copy = "copy"
    convert: bool = False
    remark: str = ""
    trusted: bool = False
    provenance: Provenance | None = None
    splits: tuple[Split, ...] = SPLITS
    adopted: bool = False

    @property
    def generated(self) -> bool:
        """A model of the run made the images, and their terms are the model's."""
        return self.drawn and not self.adopted

    def origin(self, facts: Provenance) -> str:
        """A sentence on where the images and their labels come from."""
        if self.adopted:
            images = "Synthetic images" if self.drawn else "Images"
            return f"{images} with labels, both brought by dsfactory {self.model}."
        if self.drawn:
            return f"Images that {facts.model} generated, labelled by dsfactory with the model's attention."
        return f"Given pictures, labelled by dsfactory with the attention of {facts.model}."

    def limits(self, facts: Provenance) -> tuple[str, ...]:
        """Sentences on what the dataset is not good for."""
        drawn = f"The images show what {facts.model} generates, which is not how the world looks or how often."
        machine = "Masks are made by a machine: thin parts, and objects that touch or hide each other, are less sure."
        return (
            drawn if self.generated else "The pictures are a selection that somebody made.",
            "What the labels are worth is for those to say who made them." if self.adopted else machine,
            "Pixels that the labels leave open (255) are for nobody; COCO and YOLO cannot say so.",
            "Do not judge a network on this dataset alone.",
        )

    @property
    def checked(self) -> str:
        """A sentence on who checked the labels."""
        if self.adopted:
            also = " A person corrected those of the images that say so (corrected)." if self.corrected else ""
            return f"The labels came with the images.{also}"
        if self.corrected:
            return "A person corrected the labels of the images that say so (corrected); nobody checked the others."
        return "No person checked the labels."

    @property
    def names(self) -> dict[int, str]:
        """What each value of a class mask means."""
        return {BACKGROUND: "background", **dict(enumerate(self.classes, start=1)), VOID: "void"}


class DatasetWriter(ABC):
    """Writes one dataset, sample by sample, keeping nothing of a sample in memory. One subclass per format."""

    version: ClassVar[int] = 1
    """Raised whenever the format's bytes change, so that an old export is not taken for a new one."""
    image_formats: ClassVar[tuple[ImageFormat, ...]] = ("png", "jpg")
    """Image formats that the dataset's readers open; the first is the default."""
    keeps: ClassVar[tuple[str, ...]] = ("jpg", "png", "webp", "bmp", "tif")
    """Kinds of somebody's own pictures that go into the dataset as they are; others are converted."""
    uniform: ClassVar[bool] = False
    """The dataset's readers look for images of one extension: only pictures of that kind go into it as they are."""
    copies: ClassVar[tuple[Copy, ...]] = ("copy", "link", "none")
    """What can become of the files of somebody's own pictures."""
    says_files: ClassVar[bool] = False
    """Its table says which of these pictures a sample was; other datasets get a file of its own for that."""
    supports_rle: ClassVar[bool] = False
    has_card: ClassVar[bool] = False
    """It has a Hugging Face card in any case, which explains its columns."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Folders of the dataset, which are there even when nothing goes into them; those of val are made for test too."""
    has_checksums: ClassVar[bool] = True
    """Whether the dataset lists its files in ``SHA256SUMS``; one that is examined by its content needs none."""

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        self.root = root
        self.plan = plan
        self._streams = contextlib.ExitStack()
        self._checksums = contextlib.ExitStack()
        self._sources: BinaryIO | None = None
        if self.has_checksums:
            self._sums = self._checksums.enter_context(_durable_file(root / CHECKSUMS))
        for folder in self.folders:
            (root / folder).mkdir(parents=True)
            if folder.endswith("/val") and "test" in plan.splits:
                (root / folder).with_name("test").mkdir()

    @abstractmethod
    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        """Write one sample."""

    def finish(self) -> None:  # noqa: B027 -- in most formats each file is complete as it is
        """Write what ends the dataset."""

    def close(self) -> None:
        """Bring all open files to the disk and close them."""
        with self._checksums:
            self._streams.close()

    def stream(self, name: str) -> BinaryIO:
        """Open a new file of the dataset, to be written bit by bit until :meth:`close`.

        It can be read back unless the dataset has checksums.
        """
        return self._streams.enter_context(self.file(name))

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        """A new file of the dataset, open for the block.

        Raises:
            FileExistsError: two samples have the same key.
        """
        with _durable_file(self.root / name) as file:
            if not self.has_checksums:
                yield file
                return
            hashing = HashingFile(file)
            yield hashing  # type: ignore[misc]  # what writers call of a file
        self._sums.write(f"{hashing.sha256.hexdigest()}  {name}\n".encode())

    def image_name(self, sample: ExportSample) -> str:
        """Name of the sample's image file, with the folders that it is in."""
        if self._stays(sample):
            return sample.source
        own = self._kept(sample)
        suffix = own.suffix or own.kind if own is not None and not self.uniform else self.plan.image_format
        return f"{sample.name}.{suffix}"

    def image(self, sample: ExportSample) -> bytes:
        """The sample's image: the user's own file where the dataset takes it, else in the dataset's format.

        One that is not somebody's own says what it is, in a dataset with provenance.
        """
        own = self._kept(sample)
        if own is not None:
            return own.data
        encoded = encode_image(sample.upright_png(), self.plan.image_format)
        return mark_image(encoded, sample.media) if self.plan.provenance is not None else encoded

    def write_image(self, folder: str, sample: ExportSample) -> str:
        """Write the sample's image below a folder, or link to it, or leave it where it is; see :data:`Copy`.

        Returns:
            Its name, relative to the folder.
        """
        name, own = self.image_name(sample), self._kept(sample)
        if not self._stays(sample):
            if own is not None and self.plan.copy == "link":
                self._link(f"{folder}/{name}", own)
            else:
                self.write(f"{folder}/{name}", self.image(sample))
        return name

    def note_source(self, sample: ExportSample) -> None:
        """Say which of the user's pictures a sample was."""
        if not sample.source or self.says_files:
            return
        if self._sources is None:
            self._sources = self.stream(FILES)
            self._sources.write(b"image,file,key\r\n")
        line = io.StringIO(newline="")
        csv.writer(line).writerow((self.image_name(sample), sample.source, sample.key))
        self._sources.write(line.getvalue().encode())

    def _kept(self, sample: ExportSample) -> Original | None:
        """The user's own file, where it goes into the dataset as it is."""
        own = sample.original
        if own is None:
            return None
        one = self.uniform or self.plan.convert
        return own if own.kind == self.plan.image_format or (not one and own.kind in self.keeps) else None

    def _stays(self, sample: ExportSample) -> bool:
        """Whether the sample's image is left where the user has it."""
        return self.plan.copy == "none" and bool(sample.source)

    def _link(self, name: str, own: Original) -> None:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(own.path.absolute())
        if self.has_checksums:
            self._sums.write(f"{hashlib.sha256(own.data).hexdigest()}  {name}\n".encode())

    def write(self, name: str, data: bytes) -> None:
        """Write a new file of the dataset.

        Raises:
            FileExistsError: two samples have the same key.
        """
        with self.file(name) as file:
            file.write(data)
        self.finished(name)

    def finished(self, name: str) -> None:
        """A file of the dataset is complete and closed: into a bucket it may be uploaded."""
        published(self.root / name, self.root / name)


class HashingFile:
    """A file, written from start to end, and the SHA-256 of what went through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()


@contextlib.contextmanager
def _durable_file(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "x+b") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
