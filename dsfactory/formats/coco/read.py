"""COCO instance segmentation."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from dsfactory.core.sample import VOID
from dsfactory.errors import UserError
from dsfactory.formats.coco.segmentation import decode
from dsfactory.formats.reading.images import check_size
from dsfactory.formats.reading.labels import Expected, FixedLabels, Unread, class_id, stem_of
from dsfactory.formats.reading.source import Source
from dsfactory.formats.voc.layout import VOID_NAMES

_LISTS = ("images", "annotations", "categories")


def read_coco(source: Source, expected: Expected) -> Iterator[FixedLabels | Unread]:
    """The images of all COCO files that are there.

    A later annotation covers an earlier one; regions of ``iscrowd`` 1 are ignored, below all objects. An image with an
    annotation that cannot be used is not read, and named.

    Raises:
        UserError: there is no COCO file, or one is damaged.
    """
    names = source.find("annotations/*.json") or source.find("*.json")
    images = source.below("images")
    if not names:
        raise UserError(f"{source.path} has no annotations/*.json")
    for name in names:
        for item in _read_file(_content(source, name), expected):
            yield replace(item, image=images.of(item.name)) if isinstance(item, FixedLabels) else item


def read_categories(source: Source) -> list[str]:
    """The names of the classes in all COCO files of a source, in the order of their ids; void ones apart.

    Raises:
        UserError: one is damaged.
    """
    found: dict[Any, str] = {}
    for name in source.find("annotations/*.json") or source.find("*.json"):
        listed = [item for item in _content(source, name)["categories"] if isinstance(item, dict)]
        listed.sort(key=lambda item: str(item.get("id")).zfill(20))
        found |= {_number(item): str(item.get("name")) for item in listed}
    return [name for name in dict.fromkeys(found.values()) if name.strip().casefold() not in VOID_NAMES]


def _content(source: Source, name: str) -> dict[str, list[Any]]:
    """The lists of a COCO file.

    Raises:
        UserError: it is none.
    """
    place = f"{source.path}: {name} cannot be read as COCO"
    try:
        content = json.loads(source.read(name))
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: it is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{place}: it is not JSON{line}") from error
    for part in _LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise UserError(f"{place}: it has no list of {part}")
    return {part: content[part] for part in _LISTS}


def _read_file(content: dict[str, list[Any]], expected: Expected) -> Iterator[FixedLabels | Unread]:
    labels = {_number(item): str(item.get("name")) for item in content["categories"] if isinstance(item, dict)}
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for place, annotation in enumerate(content["annotations"], start=1):
        if isinstance(annotation, dict):
            by_image[_number(annotation, "image_id")].append(annotation)
        else:
            yield Unread(f"entry {place} of the annotations", "is no annotation")
    for place, image in enumerate(content["images"], start=1):
        number = _number(image) if isinstance(image, dict) else None
        annotations = by_image.pop(number, [])
        name = image.get("file_name") if isinstance(image, dict) else None
        if number is None or not isinstance(name, str) or not stem_of(name):
            yield Unread(f"entry {place} of the images", "has no id or no file name")
            continue
        try:
            yield read_image(name, image, annotations, labels, expected)
        except ValueError as error:
            yield Unread(name, str(error))
    for number, annotations in by_image.items():
        more = f" and {len(annotations) - 1} more belong" if len(annotations) > 1 else " belongs"
        yield Unread(f"image {_shown(number)}", f"is not listed, and annotation {_named(annotations[0])}{more} to it")


def read_image(
    name: str, image: dict[str, Any], annotations: list[dict[str, Any]], labels: dict[Any, str], expected: Expected
) -> FixedLabels:
    """An image's labels from its annotations.

    Args:
        name: the image's file name.
        image: its entry; ``height`` and ``width`` are read.
        annotations: those of the image.
        labels: names of the categories by id.
        expected: the classes.

    Raises:
        ValueError: they cannot be read; says why.
    """
    shape = _size(image) or expected.size(name)
    if shape is None:
        raise ValueError("has no width and height, and is no sample of the run")
    check_size(*shape)
    mask, instances = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
    # Objects lie on the regions that are to be ignored.
    for number, annotation in enumerate(sorted(annotations, key=lambda item: not _is_crowd(item)), start=1):
        try:
            label = _label(annotation, labels, expected)
            pixels = decode(annotation.get("segmentation"), *shape)
        except ValueError as error:
            raise ValueError(f"cannot be read: annotation {_named(annotation)} {error}") from error
        mask[pixels] = label
        instances[pixels] = 0 if label == VOID else number
    ignored = any(name.strip().casefold() in VOID_NAMES and name not in expected.classes for name in labels.values())
    return FixedLabels(name, mask, instances, ignored)


def _label(annotation: dict[str, Any], labels: dict[Any, str], expected: Expected) -> int:
    number = _number(annotation, "category_id")
    if number not in labels:
        raise ValueError(f"has the category {_shown(number)}, which the file does not list")
    try:
        label = class_id(labels[number], expected.classes)
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from error
    return VOID if _is_crowd(annotation) else label


def _is_crowd(annotation: dict[str, Any]) -> bool:
    return annotation.get("iscrowd") in (1, True)


def _number(item: dict[str, Any], name: str = "id") -> int | str | None:
    """An id; tools write some as text."""
    value = item.get(name)
    return value if isinstance(value, int | str) else None


def _named(annotation: dict[str, Any]) -> str:
    return _shown(_number(annotation))


def _shown(number: int | str | None) -> str:
    return "without id" if number is None else str(number)[:40]


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width as the file says, where it says them."""
    height, width = image.get("height"), image.get("width")
    said = all(isinstance(value, int | float) and 1 <= value < 1e9 for value in (height, width))
    return (int(height), int(width)) if said else None  # type: ignore[arg-type]  # numbers by now
