"""A labelled set in the folders of PASCAL VOC."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from dsfactory.core.reading import read_text
from dsfactory.core.sample import VOID_NAMES
from dsfactory.errors import UserError
from dsfactory.formats.colours import packed, voc_colour
from dsfactory.formats.labelled import Item, LabelledSet, file_mark, label_table, pictures_below, split_in
from dsfactory.formats.reading.images import decode, rgb_pixels
from dsfactory.formats.reading.labels import FixedLabels
from dsfactory.formats.voc.folder import MAX_LIST, VOC_CLASSES, VocFolder, VocImages
from dsfactory.formats.voc.layout import LABELMAP, parse_labelmap


class VocSet(LabelledSet):
    """``SegmentationClass`` with its pictures in ``JPEGImages``; objects and lists of the splits where they are there.

    A list may name a picture whose mask is missing: that is a fault of the picture.
    """

    kind: ClassVar[str] = "voc"

    def look(self) -> dict[str, Any]:
        path = self.root / LABELMAP
        if not path.exists():
            labels = [(name, voc_colour(number)) for number, name in enumerate(VOC_CLASSES)]
        else:
            labels = parse_labelmap(read_text(path, "label map"), str(path))
            if not labels or labels[0][0].lower() != "background":
                raise UserError(f"{path}: its first label is to be 'background', which has the id 0 in the masks")
        names = [name for name, _ in labels[1:] if name.lower() not in VOID_NAMES]
        return {"names": names, "labels": labels}

    def items(self) -> Iterator[Item]:
        pictures, masks = (pictures_below(self.root / name) for name in ("JPEGImages", "SegmentationClass"))
        splits = self._splits()
        for name in sorted({*masks, *splits}):
            picture, mask = pictures.get(name), masks.get(name)
            fault = "" if picture and mask else f"its {'mask' if picture else 'picture'} is not there"
            yield Item(
                name=picture.relative_to(self.root / "JPEGImages").as_posix() if picture else name,
                image=str(picture or ""),
                split=splits.get(name, ""),
                place=str(mask or ""),
                mark=file_mark(mask) if mask else "",
                fault=fault,
            )

    def _splits(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in sorted((self.root / "ImageSets" / "Segmentation").glob("*.txt")):
            if split := split_in(path.stem):
                lines = read_text(path, "list", MAX_LIST).splitlines()
                found |= {line.strip(): split for line in lines if line.strip()}
        return found

    @cached_property
    def _images(self) -> VocImages:
        names, colours = zip(*((name, tuple(colour)) for name, colour in self.facts["labels"]), strict=True)
        return VocImages(VocFolder(self.root, names, colours), label_table((), {}), ())

    def labels(self, item: Item, shape: tuple[int, int], ids: Mapping[str, int]) -> FixedLabels:
        path = Path(item.place)
        try:
            mask = self._images.labels_in(path, path.read_bytes())
        except (UserError, OSError) as error:
            raise ValueError(str(error).removeprefix(f"{path}").lstrip(": ") or "its mask cannot be read") from error
        void = dict.fromkeys((name for name, _ in self.facts["labels"] if name.lower() in VOID_NAMES), 255)
        table = label_table([name for name, _ in self.facts["labels"][1:]], {**ids, **void})
        other = self.root / "SegmentationObject" / path.relative_to(self.root / "SegmentationClass")
        objects = packed(rgb_pixels(decode(other.read_bytes()))) if other.is_file() else None
        if objects is not None and objects.shape != mask.shape:
            raise ValueError("its mask has another size than its objects in SegmentationObject")
        return FixedLabels(item.name, table[mask], objects, True)
