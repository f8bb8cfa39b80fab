"""PASCAL VOC index masks, as CVAT's "Segmentation mask 1.1" and Datumaro write them too."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import voc_palette
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.errors import UserError
from dsfactory.formats.reading.labels import FixedLabels
from dsfactory.formats.reading.reading import class_id, decode, rgb_pixels
from dsfactory.formats.reading.source import Source

_BACKGROUND_NAMES, _VOID_NAMES = ("background",), ("void", "ignored")


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
    objects = {PurePosixPath(name).stem: name for name in source.find("SegmentationObject/*.png")}
    images = {PurePosixPath(name).stem: name for name in source.find("JPEGImages/*", "JPEGImages/**/*")}
    for name in names:
        key = PurePosixPath(name).stem
        mask = _mask(source.read(name), name, ids)
        instances = None
        if key in objects:
            instances = _packed(rgb_pixels(decode(source.read(objects[key]), objects[key])))
            if instances.shape != mask.shape:
                raise UserError(f"{source.path}: {objects[key]} has another size than {name}")
        yield FixedLabels(key, mask, instances, True, source.read(images[key]) if key in images else None)


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Colours ``(…, 3)`` as one number each."""
    packed: NDArray[np.int64] = colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return packed


def _ids_by_colour(source: Source, classes: Sequence[str]) -> dict[int, int]:
    palette = np.frombuffer(voc_palette(), dtype=np.uint8).reshape(256, 3)
    lists = source.find("labelmap.txt")
    if not lists:
        known = (BACKGROUND, *range(1, len(classes) + 1), VOID)
        return {int(_packed(palette[number])): number for number in known}
    ids = {int(_packed(palette[VOID])): VOID}
    for line in source.read(lists[0]).decode("utf-8", errors="replace").splitlines():
        name, _, rest = line.strip().partition(":")
        if not name or name.startswith("#"):
            continue
        try:
            colour = np.array([int(value) for value in rest.split(":")[0].split(",")], dtype=np.uint8)
            packed = int(_packed(colour))
        except (ValueError, OverflowError):
            raise UserError(
                f"{source.path}: {lists[0]} has the line {line[:60]!r}, which is none of name:r,g,b::"
            ) from None
        if name in _BACKGROUND_NAMES:
            ids[packed] = BACKGROUND
        else:
            ids[packed] = VOID if name in _VOID_NAMES and name not in classes else class_id(name, classes)
    return ids


def _mask(data: bytes, name: str, ids: dict[int, int]) -> NDArray[np.uint8]:
    image = decode(data, name)
    if image.mode == "L":
        raise UserError(f"{name} is grey: colours or a palette are needed to know the labels (or use --format png)")
    found, inverse = np.unique(_packed(rgb_pixels(image)), return_inverse=True)
    unknown = [value for value in found.tolist() if value not in ids]
    if unknown:
        raise UserError(f"{name} has the colour #{unknown[0]:06x}, which labelmap.txt does not name")
    return np.array([ids[value] for value in found.tolist()], dtype=np.uint8)[inverse].reshape(
        image.height, image.width
    )
