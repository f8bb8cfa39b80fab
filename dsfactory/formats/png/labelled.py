"""A labelled set of mask pairs: a PNG of class ids for each picture."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from dsfactory.core.reading import read_text
from dsfactory.errors import UserError
from dsfactory.formats.labelled import (
    Item,
    LabelledSet,
    file_mark,
    label_table,
    mask_folder,
    pictures_below,
    split_in,
)
from dsfactory.formats.png.read import binary_mask, index_mask
from dsfactory.formats.reading.images import decode
from dsfactory.formats.reading.labels import FixedLabels
from dsfactory.formats.reading.source import Files

_IMAGES = ("img_dir", "images", "image", "imgs", "JPEGImages")


class PngSet(LabelledSet):
    """Masks in ``ann_dir``, ``masks``, ``labels`` or ``annotations``; pictures of the same names in ``images``.

    ``metainfo.json`` or ``classes.txt`` names the ids. Without them the run's classes do, in their order; one class
    alone is what a mask of two values shows.
    """

    kind: ClassVar[str] = "png"

    def look(self) -> dict[str, Any]:
        return {"names": _names(self.root)}

    def items(self) -> Iterator[Item]:
        folder = mask_folder(self.root)
        assert folder is not None
        images = next((self.root / name for name in _IMAGES if (self.root / name).is_dir()), None)
        if images is None:
            raise UserError(f"{self.root} has masks in {folder.name} and no folder {' or '.join(_IMAGES)} beside them")
        pictures = pictures_below(images)
        where = Files([f"{name}.x" for name in pictures], "")
        for name, mask in pictures_below(folder).items():
            found = name if name in pictures else (where.of(f"{_bare(name)}.x") or where.of(name) or "")
            picture = pictures.get(found.removesuffix(".x"))
            yield Item(
                name=picture.relative_to(images).as_posix() if picture else name,
                image=str(picture or ""),
                split=split_in(str(PurePosixPath(name).parent)),
                place=str(mask),
                mark=file_mark(mask),
                fault="" if picture else "its picture is not there",
            )

    def labels(self, item: Item, shape: tuple[int, int], ids: Mapping[str, int]) -> FixedLabels:
        image = decode(Path(item.place).read_bytes())
        if self.names is None and len(ids) == 1:
            return FixedLabels(item.name, binary_mask(image, *ids.values()), None, False)
        names = [*ids] if self.names is None else list(self.names)
        mask = index_mask(image, len(names))
        return FixedLabels(item.name, label_table(names, ids)[mask], None, True)


def _bare(name: str) -> str:
    """A mask's name without what tools hang on it: ``0001_mask`` belongs to ``0001``."""
    for end in ("_mask", "-mask", "_labelIds", "_gtFine_labelIds", "_label"):
        name = name.removesuffix(end)
    return name


def _names(root: Path) -> list[str] | None:
    info, plain = root / "metainfo.json", root / "classes.txt"
    if info.is_file():
        try:
            names = [str(name) for name in json.loads(read_text(info, "list of classes"))["classes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{info} is not read: it is to hold {{"classes": ["background", "dog", …]}}') from error
    elif plain.is_file():
        names = [line.strip() for line in read_text(plain, "list of classes").splitlines() if line.strip()]
    else:
        return None
    return names[1:] if names and names[0].lower() == "background" else names
