"""COCO's segmentations: polygons and run lengths.

They are read with suspicion: pycocotools takes points and counts from anyone at their word, beyond its memory.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.formats.polygons import mask_polygons

WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading an entry of the wrong form may raise."""


def encode(pixels: NDArray[np.bool_], rle: bool) -> Any:
    """A mask, bool ``(height, width)`` and not empty, as polygons or as compressed run lengths."""
    if not rle:
        return [ring.ravel().tolist() for ring in mask_polygons(pixels)]
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def decode(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """The mask, bool ``(height, width)``, of a segmentation: a list of polygons, or run lengths.

    Raises:
        ValueError: it is none of an image of that size.
        TypeError: a coordinate is no number.
    """
    if not isinstance(segmentation, list):
        return decode_rle(segmentation, height, width)
    from pycocotools import mask as coco_mask

    if not segmentation:
        raise ValueError("an annotation has no polygon")
    rings = [np.array(ring, dtype=np.float64).reshape(-1, 2) for ring in segmentation]
    for points in rings:
        # Tools write points a little outside; the rasteriser takes memory for what lies beyond.
        if len(points) < 3 or not np.all((points >= -1) & (points <= (width + 1, height + 1))):
            raise ValueError("a polygon has fewer than three points or leaves the image")
    runs = coco_mask.merge(coco_mask.frPyObjects([points.ravel().tolist() for points in rings], height, width))
    return np.asarray(coco_mask.decode(runs), dtype=bool)


def decode_rle(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """A mask from run lengths, column by column, beginning with background; plain counts or COCO's text.

    The text holds each count less that before the last, from the fourth on, in groups of five bits, lowest first, 48
    added (pycocotools, ``maskApi.c``, ``rleFrString``).

    Args:
        segmentation: ``{"size": [height, width], "counts": [...] or "..."}``.
        height: of the image.
        width: of the image.

    Returns:
        bool ``(height, width)``.

    Raises:
        ValueError: it is none of that size, or its counts do not fill the image.
    """
    if not isinstance(segmentation, dict) or segmentation.get("size") != [height, width]:
        raise ValueError(f"run lengths of another size than the image of {width} × {height} pixels")
    counts = segmentation.get("counts")
    if isinstance(counts, str | bytes):
        counts = _counts_of_text(counts if isinstance(counts, str) else counts.decode("ascii"), height * width)
    plain = isinstance(counts, list) and all(type(count) is int and 0 <= count <= height * width for count in counts)
    if not plain or sum(counts) != height * width:  # type: ignore[arg-type]  # a list of integers by now
        raise ValueError(f"run lengths that do not fill an image of {width} × {height} pixels")
    values = np.arange(len(counts)) % 2 == 1  # type: ignore[arg-type]
    return np.repeat(values, np.array(counts, dtype=np.int64)).reshape(width, height).T


def _counts_of_text(text: str, pixels: int) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60 or len(counts) > pixels:
            raise ValueError("run lengths that are no text of COCO")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("run lengths that break off")
    return counts
