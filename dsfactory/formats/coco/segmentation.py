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
    """The mask, bool ``(height, width)``, of a segmentation: polygons, one alone as a flat list, or run lengths.

    What leaves the image is cut off.

    Raises:
        ValueError: it is none of an image of that size. The message goes on after the annotation's name.
    """
    if isinstance(segmentation, dict):
        return decode_rle(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("has no segmentation: no polygon and no run lengths")
    from pycocotools import mask as coco_mask

    rings = [segmentation] if _is_numbers(segmentation) else segmentation
    points = np.concatenate([_points(ring) for ring in rings])
    outside = max(0.0, -points.min(), *(points.max(axis=0) - (width, height)))
    margin = int(np.ceil(outside))
    if margin > max(height, width):  # the rasteriser takes memory for what lies beyond
        raise ValueError("has a polygon that lies outside of the image")
    size = (height + 2 * margin, width + 2 * margin)
    shapes = coco_mask.frPyObjects([(_points(ring) + margin).ravel().tolist() for ring in rings], *size)
    pixels = np.asarray(coco_mask.decode(coco_mask.merge(shapes)), dtype=bool)
    return pixels[margin : margin + height, margin : margin + width]


def _is_numbers(values: list[Any]) -> bool:
    return all(type(value) in (int, float) for value in values)


def _points(ring: Any) -> NDArray[np.float64]:
    """The corners of a polygon, float64 ``(points, 2)``."""
    if not isinstance(ring, list) or not _is_numbers(ring) or len(ring) % 2 or not np.all(np.abs(ring) < 1e9):
        raise ValueError("has a polygon that is no list of x and y")
    if len(ring) < 6:
        raise ValueError(f"has a polygon of {len(ring) // 2} points")
    return np.array(ring, dtype=np.float64).reshape(-1, 2)


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
        raise ValueError(f"has run lengths of another size than the image of {width} × {height} pixels")
    counts = segmentation.get("counts")
    if isinstance(counts, str | bytes):
        counts = _counts_of_text(counts if isinstance(counts, str) else counts.decode("ascii"), height * width)
    plain = isinstance(counts, list) and all(type(count) is int and 0 <= count <= height * width for count in counts)
    if not plain or sum(counts) != height * width:  # type: ignore[arg-type]  # a list of integers by now
        raise ValueError(f"has run lengths that do not fill an image of {width} × {height} pixels")
    values = np.arange(len(counts)) % 2 == 1  # type: ignore[arg-type]
    return np.repeat(values, np.array(counts, dtype=np.int64)).reshape(width, height).T


def _counts_of_text(text: str, pixels: int) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60 or len(counts) > pixels:
            raise ValueError("has run lengths that are no text of COCO")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("has run lengths that break off")
    return counts
