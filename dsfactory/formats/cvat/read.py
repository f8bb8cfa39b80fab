"""CVAT for images 1.1: masks and polygons."""

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.errors import UserError
from dsfactory.formats.cvat.write import VOID_LABEL
from dsfactory.formats.reading.images import check_size
from dsfactory.formats.reading.labels import Expected, FixedLabels, Unread, class_id, stem_of
from dsfactory.formats.reading.source import Files, Source

_SUBPIXEL = 4
"""Bits of a polygon corner's fraction that OpenCV takes into account."""


def read_cvat(source: Source, expected: Expected) -> Iterator[FixedLabels | Unread]:
    """The images of an ``annotations.xml``.

    ``mask`` and ``polygon`` shapes are objects, those of one group (``group_id``) one object; the label ``void`` is
    void. Shapes cover each other in their z-order, then in the order of the file; what leaves the image is cut off. An
    image with a shape that cannot be used is not read, and named.

    Raises:
        UserError: there is no such file, it is damaged, or of a video.
    """
    names = source.find("annotations.xml") or source.find("*.xml")
    if len(names) != 1:
        raise UserError(f"{source.path} has {len(names)} XML files where CVAT for images 1.1 has one, annotations.xml")
    images = source.below("images")
    with source.file(names[0]) as file:
        try:
            for _, element in ElementTree.iterparse(file):
                if element.tag == "track":
                    raise UserError(f"{names[0]} is of a video: export it from CVAT as 'CVAT for images 1.1'")
                if element.tag == "image":
                    yield _read_image(element, expected, images)
                    element.clear()
        except (ElementTree.ParseError, ValueError) as error:  # ValueError: of an encoding that does not exist
            place = f" (line {error.position[0]})" if isinstance(error, ElementTree.ParseError) else ""
            raise UserError(f"{source.path}: {names[0]} is not what CVAT writes: it is no whole XML{place}") from error


def _read_image(image: ElementTree.Element, expected: Expected, images: Files) -> FixedLabels | Unread:
    name = image.get("name", "")
    if not stem_of(name):
        return Unread(f"image {image.get('id', 'without id')[:40]}", "has no name")
    try:
        shape = _size(image) or expected.size(name)
        if shape is None:
            raise ValueError("has no width and height, and is no sample of the run")
        mask, instances = _draw(image, check_size(*shape), expected.classes)
    except ValueError as error:
        return Unread(name, str(error))
    return FixedLabels(name, mask, instances, True, images.of(name))


def _size(image: ElementTree.Element) -> tuple[int, int] | None:
    """Height and width as the file says, where it says them."""
    said = image.get("height", ""), image.get("width", "")
    return (int(said[0]), int(said[1])) if all(re.fullmatch("[0-9]{1,9}", text) for text in said) else None


def _draw(
    image: ElementTree.Element, shape: tuple[int, int], classes: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    mask, instances = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
    shapes = [item for item in image if item.tag not in ("tag", "attribute")]
    for number, item in enumerate(sorted(shapes, key=lambda item: _whole(item, "z_order")), start=1):
        label = item.get("label", "")
        if item.tag not in ("mask", "polygon"):
            raise ValueError(f"has a {item.tag} of {label[:60]}: masks and polygons are read")
        value = VOID if label == VOID_LABEL else class_id(label, classes)
        try:
            pixels = (_mask_pixels if item.tag == "mask" else _polygon_pixels)(item, shape)
        except ValueError as error:
            raise ValueError(f"has a {item.tag} of {label[:60]} that {error}") from error
        mask[pixels] = value
        group = _whole(item, "group_id")
        instances[pixels] = 0 if value == VOID else -group if group else number
    instances[instances < 0] += int(instances.max()) - int(instances.min()) + 1
    return mask, instances


def _whole(item: ElementTree.Element, name: str) -> int:
    """A whole number among a shape's attributes; 0 where it is left out."""
    text = item.get(name) or "0"
    if not re.fullmatch("-?[0-9]{1,9}", text):
        raise ValueError(f"has a {item.tag} whose {name} is {text[:20]!r}")
    return int(text)


def _mask_pixels(item: ElementTree.Element, shape: tuple[int, int]) -> NDArray[np.bool_]:
    left, top, width, height = (_whole(item, name) for name in ("left", "top", "width", "height"))
    counts = item.get("rle", "").split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", text) for text in counts):
        raise ValueError("has no run lengths")
    runs = np.array([int(text) for text in counts])
    near = 0 < width <= 2 * shape[1] and 0 < height <= 2 * shape[0]
    if not near or runs.sum() != width * height:
        raise ValueError("does not fit its box")
    window = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    pixels = np.zeros(shape, dtype=bool)
    rows, columns = (slice(max(start, 0), max(start + size, 0)) for start, size in ((top, height), (left, width)))
    inside = pixels[rows, columns]
    y, x = max(-top, 0), max(-left, 0)
    inside[:] = window[y : y + inside.shape[0], x : x + inside.shape[1]]
    return pixels


def _polygon_pixels(item: ElementTree.Element, shape: tuple[int, int]) -> NDArray[np.bool_]:
    try:
        points = np.array([[float(value) for value in pair.split(",")] for pair in item.get("points", "").split(";")])
    except ValueError as error:
        raise ValueError("has points that are none") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("has points that are none")
    if len(points) < 3:
        raise ValueError(f"has {len(points)} points")
    if np.abs(points).max() > 1e5:
        raise ValueError("lies outside of the image")
    canvas = np.zeros(shape, dtype=np.uint8)
    # Corners count from a pixel's upper left corner; OpenCV's from its centre.
    fixed = np.round((points - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 1, shift=_SUBPIXEL)
    return canvas.astype(bool)
