"""A labelled set in COCO's format: instances with polygons or run lengths."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from dsfactory.errors import UserError
from dsfactory.formats.coco.read import read_image
from dsfactory.formats.coco.scan import read_at, scan
from dsfactory.formats.labelled import Item, LabelledSet, coco_files, pictures_in, split_in
from dsfactory.formats.reading.labels import Expected, FixedLabels
from dsfactory.formats.reading.source import Files


class CocoSet(LabelledSet):
    """One or several COCO files and the pictures that they name, which may lie in any of the usual places."""

    kind: ClassVar[str] = "coco"

    def look(self) -> dict[str, Any]:
        files = coco_files(self.root)
        if not files or not files[0].is_file():
            raise UserError(f"{self.root} is not there: name a COCO file, or the folder that it is in")
        categories = {str(path): list(scan(path).categories.items()) for path in files}
        names = dict.fromkeys(name for listed in categories.values() for _, name in listed)
        return {"names": list(names), "categories": categories}

    def items(self) -> Iterator[Item]:
        seen: set[str] = set()
        for path in map(Path, self.facts["categories"]):
            found = scan(path)
            where = _Pictures(self.root if self.root.is_dir() else path.parent, path)
            for place, image in enumerate(found.listed(), start=1):
                if image.number is None or not image.name:
                    yield Item(f"{path.name}: entry {place} of the images", fault="has no id or no file name")
                    continue
                picture = where.find(image.name)
                name = where.name_of(picture) if picture is not None else image.name
                fault = "" if picture is not None else "its picture is not there"
                if name in seen:
                    name, fault = f"{name} (entry {place} of {path.name})", "is listed twice"
                seen.add(name)
                labels = {"file": str(path), "at": image.places, "size": image.size}
                yield Item(
                    name,
                    image=str(picture or ""),
                    split=split_in(path.stem) or split_in(str(Path(name).parent)),
                    place=json.dumps({**labels, **({"made": image.made} if image.made else {})}),
                    mark=image.mark,
                    fault=fault,
                    synthetic=image.made is not None,
                )
            if found.lost:
                yield Item(f"{path.name}: images", fault=f"{found.lost} annotations belong to images that it lacks")

    def labels(self, item: Item, shape: tuple[int, int], ids: Mapping[str, int]) -> FixedLabels:
        place = json.loads(item.place)
        wanted = {number: ids.get(name, 0) for number, name in self.facts["categories"][place["file"]]}
        annotations = [
            one for one in read_at(Path(place["file"]), place["at"]) if wanted.get(one.get("category_id"), 1)
        ]
        height, width = place["size"]
        image = {"height": height or shape[0], "width": width or shape[1]}
        # The reader of corrections is told of classes by name: here the names are the ids.
        labels = {number: "void" if one == 255 else str(one) for number, one in wanted.items()}
        classes = [str(number) for number in range(1, 255)]
        return read_image(item.name, image, annotations, labels, Expected(classes))

    def columns(self, item: Item) -> Mapping[str, Any]:
        made: dict[str, Any] = json.loads(item.place).get("made") or {}
        return made


class _Pictures:
    """Where the pictures of a COCO file are."""

    def __init__(self, root: Path, file: Path) -> None:
        self._root = root
        split = file.stem.removeprefix("instances_")
        bases = [file.parent, file.parent.parent, root]
        within = ("", "images", split, f"images/{split}", "JPEGImages", "data")
        self._folders = list(dict.fromkeys(base / name for base in bases for name in within))
        self._all: Files | None = None

    def find(self, name: str) -> Path | None:
        """The picture of this name; None where there is none, or where several could be meant."""
        plain = name.replace("\\", "/")
        if plain.startswith("/") or ".." in Path(plain).parts or "\0" in plain or len(plain) > 4000:
            return None
        for place, folder in enumerate(self._folders):
            try:
                there = (folder / plain).is_file()
            except OSError:
                return None
            if there:
                self._folders.insert(0, self._folders.pop(place))
                return folder / plain
        if self._all is None:
            self._all = Files([str(path.relative_to(self._root)) for path in pictures_in(self._root)], "")
        found = self._all.of(plain)
        return self._root / found if found is not None else None

    def name_of(self, path: Path) -> str:
        """A picture's path, relative to the set where it lies in it."""
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else path.name
