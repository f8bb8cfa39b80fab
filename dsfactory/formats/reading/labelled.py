"""A labelled set from elsewhere, in the terms of a run: its classes matched with the run's by name and by synonym."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec, slug
from dsfactory.core.sample import VOID, VOID_NAMES
from dsfactory.errors import UserError
from dsfactory.formats import IMPORT_FORMATS
from dsfactory.formats.reading.detect import format_of
from dsfactory.formats.reading.labels import Expected, Unread, finished
from dsfactory.formats.reading.source import Source
from dsfactory.formats.voc.folder import VOC_CLASSES
from dsfactory.formats.voc.layout import LABELMAP, parse_labelmap

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Labelled:
    """The labels of an image, in a run's terms.

    Attributes:
        name: the image's file name in the set.
        mask: uint8 ``(height, width)``: the run's class ids, 0 background, 255 void.
        objects: uint8, the same shape: object ids from 1, 0 background, 255 void.
    """

    name: str
    mask: Labels
    objects: Labels


class LabelledSet:
    """A folder, file or zip with labels in COCO, VOC, CVAT or PNG masks.

    Args:
        path: where it is.
        classes: the run's.

    Raises:
        UserError: it is not there, or holds no labels.
    """

    def __init__(self, path: Path, classes: Sequence[ClassSpec]) -> None:
        self.path = path
        with Source.open(path) as source:
            self._format = format_of(source)
            own = [name for name in _names(source, self._format) if name.casefold() not in {"background", *VOID_NAMES}]
        self.names = tuple(own or [item.name for item in classes])
        self._table = class_table(self.names, classes)

    @property
    def lacking(self) -> list[str]:
        """The set's classes that the run does not have: background here."""
        return [name for number, name in enumerate(self.names, start=1) if not self._table[number]]

    def read(self) -> Iterator[Labelled | Unread]:
        """Every image's labels, or why there are none, in the order of the files."""
        reader = IMPORT_FORMATS[self._format].reader()
        with Source.open(self.path) as source:
            for found in reader(source, Expected(self.names)):
                if isinstance(found, Unread):
                    yield found
                    continue
                try:
                    mask, objects = finished(found, None)
                except ValueError as error:
                    yield Unread(found.name, str(error))
                    continue
                ours = self._table[mask]
                yield Labelled(found.name, ours, np.where(ours == 0, np.uint8(0), objects))


def class_table(names: Sequence[str], classes: Sequence[ClassSpec]) -> Labels:
    """The table from a set's ids to a run's: uint8 ``(256,)``; classes that the run does not have become background.

    Names are compared without case, spaces and hyphens, the run's synonyms after all names.
    """
    ours = {plain_name(word): number for number, spec in enumerate(classes, start=1) for word in spec.synonyms}
    ours |= {plain_name(spec.name): number for number, spec in enumerate(classes, start=1)}
    table = np.zeros(256, np.uint8)
    table[VOID] = VOID
    for number, name in enumerate(names[: VOID - 1], start=1):
        table[number] = ours.get(plain_name(name), 0)
    return table


def plain_name(name: str) -> str:
    """A class name without case, spaces and hyphens, for comparing."""
    return slug(name).replace("-", "") or name.casefold()


def _names(source: Source, format: str) -> list[str]:
    """The classes that a set names, in the order of its ids; none where only the ids are there."""
    if format == "voc":
        maps = source.find(LABELMAP)
        if not maps:
            return list(VOC_CLASSES[1:])
        return [name for name, _ in parse_labelmap(source.read(maps[0]).decode("utf-8-sig", "replace"), maps[0])]
    if format == "coco":
        files = source.find("annotations/*.json") or source.find("*.json")
        found = [item for name in files for item in _categories(source, name)]
        return list(dict.fromkeys(found))
    if format == "cvat":
        with source.file((source.find("annotations.xml") or source.find("*.xml"))[0]) as file:
            try:
                tree = ElementTree.parse(file).getroot()
            except (ElementTree.ParseError, ValueError):
                return []  # the reader says what is wrong
        found = [element.get("label", "") for element in tree.iter() if element.tag in ("mask", "polygon")]
        return sorted(set(filter(None, found)))
    return []


def _categories(source: Source, name: str) -> list[str]:
    try:
        content = json.loads(source.read(name))
        return [str(item["name"]) for item in content["categories"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{source.path}: {name} cannot be read as COCO: it lists no categories") from error
