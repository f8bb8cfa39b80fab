"""Copies of reference images: mirrored, cut, recoloured, compressed, scaled or lightly repainted ones too.

Features and perceptual hashes find the few references that an image may be a copy of; then the image is laid over each,
mirrored or not, at the places and sizes that a cut of at least CUT of it may have, and compared pixel by pixel.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.embed.cache import THUMB, Embedded, Report
from dsfactory.embed.scale import Scale, Vectors

CUT = 0.7
"""Share of the reference that an image shows at least."""
NEAREST = 5
"""References that an image is laid over."""
STEPS = (1.0, 0.95, 0.9, 0.84, 0.77, 0.7)
"""Shares of a side that a cut is looked for at."""
FLAT = 2.0
"""Standard deviation in levels of 255 below which an image shows nothing that could be compared."""
LIKENESS = 0.9
"""Correlation of an image with its place in a reference from which it is a copy. See docs/measured.md."""


@dataclass(frozen=True)
class Copy:
    """What an image is a copy of.

    Attributes:
        reference: position of the reference.
        likeness: correlation of the pixels there, at most 1.
    """

    reference: int
    likeness: float


def find_copies(
    images: Embedded, blocks: Iterable[Embedded], report: Report = lambda name, done, total: None
) -> list[Copy | None]:
    """The reference that each image is most like.

    Args:
        images: those that may be copies.
        blocks: the references in parts; one part is in memory at a time.
        report: told how many images of a part have been looked at.

    Returns:
        One per image; None where no reference is near. From LIKENESS on it is a copy.
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(images.features).all(axis=1))
    best: list[Copy | None] = [None] * len(images)
    if not known.any():
        return best
    scale = Scale(images.features[known])
    mirrored = images.thumbs[:, :, ::-1]
    queries = scale(np.nan_to_num(images.features))
    start = 0
    for block in blocks:
        for place, candidates in _near(queries, scale, block, known):
            report(f"copies from {start}", place, len(images))
            for one in candidates:
                sides = (images.thumbs[place], mirrored[place])
                likeness = max(overlaid(side, block.thumbs[one]) for side in sides)
                before = best[place]
                if before is None or likeness > before.likeness:
                    best[place] = Copy(start + one, likeness)
        start += len(block)
    return best


def _near(
    queries: Vectors, scale: Scale, block: Embedded, known: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The references of a block that each image is nearest to."""
    there = np.flatnonzero(np.isfinite(block.features).all(axis=1))
    if not len(there):
        return
    references = scale(block.features[there])
    count = min(NEAREST, len(there))
    for place in np.flatnonzero(known):
        alike = references @ queries[place]
        yield int(place), there[np.argpartition(-alike, count - 1)[:count]]


def overlaid(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """How well an image fits a part of a reference: the highest correlation over the places and sizes of a cut.

    Args:
        image: uint8 ``(THUMB, THUMB, 3)``.
        reference: uint8 of the same shape.

    Returns:
        In [−1, 1]: the lower of the correlations of the pixels and of the edges, at the best place.
    """
    best = -1.0
    if min(float(image.std()), float(reference.std())) < FLAT:
        return best
    plain, edges = _plain(reference), _edges(reference)
    for wide in STEPS:
        for high in STEPS:
            if wide * high < CUT - 0.02:
                continue
            size = max(1, round(wide * THUMB)), max(1, round(high * THUMB))
            small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            found = np.minimum(_match(plain, _plain(small)), _match(edges, _edges(small)))
            best = max(best, float(found.max()))
    return best


def _plain(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels.astype(np.float32)


def _edges(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is left without what changes slowly: flat images are alike in that."""
    plain = pixels.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(plain, (0, 0), 0.8) - cv2.GaussianBlur(plain, (0, 0), 3.0), dtype=np.float32)


def _match(reference: NDArray[np.float32], image: NDArray[np.float32]) -> NDArray[np.float32]:
    found = cv2.matchTemplate(reference, image, cv2.TM_CCOEFF_NORMED)
    return np.nan_to_num(np.asarray(found, dtype=np.float32), nan=-1.0, posinf=-1.0, neginf=-1.0)
