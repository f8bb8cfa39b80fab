"""PASCAL VOC index masks, as CVAT's "Segmentation mask 1.1" and Datumaro write them too."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.errors import UserError
from dsfactory.formats.colours import Colour, labels_of, packed, voc_colour
from dsfactory.formats.reading.images import decode, rgb_pixels
from dsfactory.formats.reading.labels import Expected, FixedLabels, Unread, class_id
from dsfactory.formats.reading.source import Source
from dsfactory.formats.voc.layout import LABELMAP, parse_labelmap

_BACKGROUND, _VOID = "background", "void"


def read_voc(source: Source, expected: Expected) -> Iterator[FixedLabels | Unread]:
    """The masks in ``SegmentationClass``, with the objects in ``SegmentationObject`` where they are there.

    Colours mean what ``labelmap.txt`` says, whether a mask was saved with a palette or, as CVAT does, in colours; it
    may name labels that no mask shows. The VOC colour of void is void in any case.

    Raises:
        UserError: there are no masks, or a label map that cannot be read.
    """
    names = source.find("SegmentationClass/**/*.png")
    if not names:
        raise UserError(f"{source.path} has no SegmentationClass/*.png")
    labels = _labels_by_colour(source, expected.classes)
    objects, images = source.below("SegmentationObject", "*.png"), source.below("JPEGImages")
    for name in names:
        other = objects.of(name)
        try:
            mask = _mask(decode(source.read(name)), labels, expected.classes)
            instances = packed(rgb_pixels(decode(source.read(other)))) if other is not None else None
            if instances is not None and instances.shape != mask.shape:
                raise ValueError(f"has another size than {other}")
        except ValueError as error:
            yield Unread(name, str(error))
            continue
        yield FixedLabels(name, mask, instances, True, images.of(name))


def _labels_by_colour(source: Source, classes: Sequence[str]) -> dict[Colour, str]:
    names = source.find(LABELMAP)
    if not names:
        said = {BACKGROUND: _BACKGROUND, **dict(enumerate(classes, start=1)), VOID: _VOID}
        return {voc_colour(number): name for number, name in said.items()}
    text = source.read(names[0]).decode("utf-8-sig", errors="replace")
    listed = parse_labelmap(text, f"{source.path}: {names[0]}")
    return {voc_colour(VOID): _VOID, **{colour: name for name, colour in listed}}


def _mask(image: Image.Image, labels: dict[Colour, str], classes: Sequence[str]) -> NDArray[np.uint8]:
    if image.mode == "L":
        raise ValueError("is grey: colours or a palette are needed to know the labels (or use --format png)")
    pixels = rgb_pixels(image)
    ids = {}
    for number in np.unique(packed(pixels)).tolist():
        colour = (number >> 16, number >> 8 & 255, number & 255)
        if colour not in labels:
            raise ValueError(f"has the colour #{number:06x}, which labelmap.txt does not name")
        label = labels[colour]
        is_background = label.lower() == _BACKGROUND and label not in classes
        ids[colour] = BACKGROUND if is_background else VOID if label == _VOID else _id(label, classes)
    return labels_of(pixels, ids)


def _id(label: str, classes: Sequence[str]) -> int:
    try:
        return class_id(label, classes)
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from error
