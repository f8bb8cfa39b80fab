"""A labelled set in the format of YOLO segmentation: a text file of outlines for each picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from dsfactory.core.reading import read_text, read_yaml
from dsfactory.errors import UserError
from dsfactory.formats.coco.segmentation import decode
from dsfactory.formats.labelled import Item, LabelledSet, file_mark, pictures_in
from dsfactory.formats.reading.labels import FixedLabels

_PARTS = {"train": "train", "val": "val", "test": "val"}


class YoloSet(LabelledSet):
    """``data.yaml`` with the names, and pictures in ``images/…`` whose outlines are in ``labels/…``.

    A picture without a text file shows nothing, as in YOLO's own training.
    """

    kind: ClassVar[str] = "yolo"

    def look(self) -> dict[str, Any]:
        path = self.root
        if path.is_dir():
            path = next(path / name for name in ("data.yaml", "dataset.yaml") if (path / name).is_file())
        content = read_yaml(path)
        names = content.get("names")
        if isinstance(names, dict):
            names = [names[number] for number in sorted(names)]
        if not isinstance(names, list) or not names:
            raise UserError(f"{path} names no classes: it is to hold 'names: [dog, bird]'")
        parts = {part: content[part] for part in _PARTS if content.get(part)}
        if not parts:
            raise UserError(f"{path} names no pictures: it is to hold 'train: images/train'")
        base = path.parent
        own = content.get("path")  # often where the set was on another machine
        if isinstance(own, str) and (base / own).is_dir():
            base = base / own
        return {"names": [str(name) for name in names], "base": str(base), "parts": parts}

    def items(self) -> Iterator[Item]:
        base = Path(self.facts["base"])
        seen: set[Path] = set()
        for part, said in self.facts["parts"].items():
            for one in said if isinstance(said, list) else [said]:
                for path in _pictures(base, str(one)):
                    if path in seen:
                        continue
                    seen.add(path)
                    labels = _labels_of(path)
                    there = labels.is_file()
                    yield Item(
                        name=path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name,
                        image=str(path),
                        split=_PARTS[part],
                        place=str(labels) if there else "",
                        mark=file_mark(labels) if there else "",
                    )

    def labels(self, item: Item, shape: tuple[int, int], ids: Mapping[str, int]) -> FixedLabels:
        mask, objects = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
        lines = read_text(Path(item.place), "labels").splitlines() if item.place else []
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words:
                continue
            try:
                category, corners = int(words[0]), np.array(words[1:], dtype=np.float64)
                name = self.facts["names"][category]
            except (ValueError, IndexError):
                raise ValueError(f"line {number} of its labels is no class of data.yaml with an outline") from None
            if len(corners) == 4:
                raise ValueError(f"line {number} of its labels is a box: outlines are needed (YOLO segmentation)")
            if not ids.get(name, 0):
                continue
            if len(corners) % 2 or category < 0:
                raise ValueError(f"line {number} of its labels has an odd count of numbers")
            pixels = decode([(corners.reshape(-1, 2) * shape[::-1]).ravel().tolist()], *shape)
            mask[pixels], objects[pixels] = ids[name], number
        return FixedLabels(item.name, mask, objects, False)


def _pictures(base: Path, said: str) -> list[Path]:
    """The pictures of a folder or of a list of files, as ``data.yaml`` names them."""
    # Roboflow writes ../train/images of folders that lie beside data.yaml.
    tries = (base / said, base / said.removeprefix("../"), base.parent / said)
    place = next((path for path in tries if path.exists()), None)
    if place is None:
        raise UserError(f"{base / said} is not there, and data.yaml names it")
    if place.is_dir():
        return pictures_in(place)
    lines = filter(None, map(str.strip, read_text(place, "list", 64_000_000).splitlines()))
    return [path if path.is_absolute() else place.parent / path for path in map(Path, lines)]


def _labels_of(path: Path) -> Path:
    """The labels of a picture: the last folder ``images`` of its path is ``labels`` there."""
    parts = list(PurePosixPath(path).parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")
