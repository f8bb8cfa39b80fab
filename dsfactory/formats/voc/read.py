"""PASCAL VOC index masks, as CVAT's "Segmentation mask 1.1" and Datumaro write them too."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.errors import UserError
from dsfactory.formats.colours import Colour, labels_of, packed, voc_colour
from dsfactory.formats.reading.images import decode, rgb_pixels
from dsfactory.formats.reading.labels import FixedLabels, class_id
from dsfactory.formats.reading.source import Source
from dsfactory.formats.voc.layout import LABELMAP, VOID_NAMES, parse_labelmap


def read_voc(source: Source, classes: Sequence[str]) -> Iterator[FixedLabels]:
    """The masks in ``SegmentationClass``, with the objects in ``SegmentationObject`` where they are there.

    Colours mean what ``labelmap.txt`` says, whether a mask was saved with a palette or, as CVAT does, in colours. The
    VOC colour of void is void in any case.

    Raises:
        UserError: there are no masks, or colours or labels that the run does not have.
    """
    names = source.find("SegmentationClass/*.png")
    if not names:
        raise UserError(f"{source.path} has no SegmentationClass/*.png")
    ids = _ids_by_colour(source, classes)
    objects = source.by_key("SegmentationObject/*.png")
    images = source.by_key("JPEGImages/*", "JPEGImages/**/*")
    for name in names:
        key = PurePosixPath(name).stem
        mask = _mask(source.read(name), name, ids)
        instances = None
        if key in objects:
            instances = packed(rgb_pixels(decode(source.read(objects[key]), objects[key])))
            if instances.shape != mask.shape:
                raise UserError(f"{source.path}: {objects[key]} has another size than {name}")
        yield FixedLabels(key, mask, instances, True, source.read_if(images.get(key)))


def _ids_by_colour(source: Source, classes: Sequence[str]) -> dict[Colour, int]:
    names = source.find(LABELMAP)
    if not names:
        return {voc_colour(number): number for number in (BACKGROUND, *range(1, len(classes) + 1), VOID)}
    ids = {voc_colour(VOID): VOID}
    text = source.read(names[0]).decode("utf-8-sig", errors="replace")
    for name, colour in parse_labelmap(text, f"{source.path}: {names[0]}"):
        if name == "background":
            ids[colour] = BACKGROUND
        elif name.lower() in VOID_NAMES and name not in classes:
            ids[colour] = VOID
        else:
            ids[colour] = class_id(name, classes)
    return ids


def _mask(data: bytes, name: str, ids: dict[Colour, int]) -> NDArray[np.uint8]:
    image = decode(data, name)
    if image.mode == "L":
        raise UserError(f"{name} is grey: colours or a palette are needed to know the labels (or use --format png)")
    try:
        return labels_of(rgb_pixels(image), ids)
    except KeyError as error:
        raise UserError(
            f"{name} has the colour #{bytes(error.args[0]).hex()}, which labelmap.txt does not name"
        ) from None
