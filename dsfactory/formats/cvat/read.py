"""CVAT for images 1.1: masks and polygons."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.errors import UserError
from dsfactory.formats.cvat.write import VOID_LABEL
from dsfactory.formats.reading.images import check_size
from dsfactory.formats.reading.labels import FixedLabels, class_id
from dsfactory.formats.reading.source import Source

_SUBPIXEL = 4
"""Bits of a polygon corner's fraction that OpenCV takes into account."""


def read_cvat(source: Source, classes: Sequence[str]) -> Iterator[FixedLabels]:
    """The images of an ``annotations.xml``.

    ``mask`` and ``polygon`` shapes are objects, those of one group (``group_id``) one object; the label ``void`` is
    void. Shapes cover each other in their z-order, then in the order of the file.

    Raises:
        UserError: there is no such file, it is damaged, or it has other labels or shapes.
    """
    names = source.find("annotations.xml") or source.find("*.xml")
    if len(names) != 1:
        raise UserError(f"{source.path} has {len(names)} XML files where CVAT for images 1.1 has one, annotations.xml")
    images = source.by_key("images/**/*", "images/*")
    with source.file(names[0]) as file:
        try:
            for _, element in ElementTree.iterparse(file):
                if element.tag == "track":
                    raise UserError(f"{names[0]} is of a video: export it from CVAT as 'CVAT for images 1.1'")
                if element.tag == "image":
                    key = PurePosixPath(element.attrib["name"]).stem
                    mask, instances = _draw(element, classes)
                    yield FixedLabels(key, mask, instances, True, source.read_if(images.get(key)))
                    element.clear()
        except (ElementTree.ParseError, KeyError, ValueError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{source.path}: {names[0]} is not what CVAT writes ({reason[:200]})") from error


def _draw(image: ElementTree.Element, classes: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    shape = check_size(int(image.attrib["height"]), int(image.attrib["width"]))
    mask, instances = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
    shapes = [item for item in image if item.tag not in ("tag", "attribute")]
    for number, item in enumerate(sorted(shapes, key=lambda item: int(item.get("z_order", "0"))), start=1):
        label = item.attrib["label"]
        if item.tag == "mask":
            pixels = _mask_pixels(item, shape)
        elif item.tag == "polygon":
            pixels = _polygon_pixels(item.attrib["points"], shape)
        else:
            raise ValueError(f"image {image.attrib['name']} has a {item.tag} of {label}; masks and polygons are read")
        mask[pixels] = VOID if label == VOID_LABEL else class_id(label, classes)
        group = int(item.get("group_id") or 0)
        instances[pixels] = 0 if label == VOID_LABEL else -group if group else number
    instances[instances < 0] += int(instances.max()) - int(instances.min()) + 1
    return mask, instances


def _mask_pixels(item: ElementTree.Element, shape: tuple[int, int]) -> NDArray[np.bool_]:
    left, top, width, height = (int(item.attrib[name]) for name in ("left", "top", "width", "height"))
    runs = np.array([int(text) for text in item.attrib["rle"].split(",")], dtype=np.int64)
    inside = 0 <= left < left + width <= shape[1] and 0 <= top < top + height <= shape[0]
    if not inside or np.any((runs < 0) | (runs > width * height)) or runs.sum() != width * height:
        raise ValueError(f"a mask of {item.attrib['label']} does not fit its box or its image")
    pixels = np.zeros(shape, dtype=bool)
    window = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    pixels[top : top + height, left : left + width] = window
    return pixels


def _polygon_pixels(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    points = np.array([[float(value) for value in pair.split(",")] for pair in text.split(";")])
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all() or np.abs(points).max() > 1e5:
        raise ValueError("a polygon's points cannot be used")
    canvas = np.zeros(shape, dtype=np.uint8)
    # Corners count from a pixel's upper left corner; OpenCV's from its centre.
    fixed = np.round((points - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 1, shift=_SUBPIXEL)
    return canvas.astype(bool)
