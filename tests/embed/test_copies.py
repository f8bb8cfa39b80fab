"""Copies are found however they were changed, and others are not."""

import cv2
import numpy as np
import pytest

from dsfactory.embed.cache import THUMB, Embedded
from dsfactory.embed.copies import LIKENESS, find_copies, overlaid
from dsfactory.embed.network import Features

SIDE = 96


def picture(seed: int) -> np.ndarray:
    """Shapes of several colours on a ground that changes slowly."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.uniform(90, 200, (3, 3, 3)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image = ground.clip(0, 255).astype(np.uint8)
    for _ in range(6):
        x, y, size = rng.integers(5, SIDE - 5, 3)
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        if rng.random() < 0.5:
            cv2.circle(image, (int(x), int(y)), int(size) // 5 + 3, colour, -1)
        else:
            cv2.rectangle(image, (int(x), int(y)), (int(x) + int(size) // 3, int(y) + int(size) // 4), colour, -1)
    return image


def embedded(images: list[np.ndarray]) -> Embedded:
    features = Features()
    thumbs = [cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA) for image in images]
    return Embedded(
        np.stack([features(image) for image in images]), np.zeros((len(images), 32), np.uint8), np.stack(thumbs)
    )


def test_changed_copies_name_their_picture_and_others_none():
    references = [picture(seed) for seed in range(8)]
    one = references[3]
    changed = [
        one[:, ::-1],
        one[8:88, 4:90],
        (one * np.array([0.82, 1.15, 0.95])).clip(0, 255).astype(np.uint8),
        cv2.resize(one, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA),
        cv2.imdecode(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR),
    ]
    known = embedded(references)
    found = find_copies(embedded(changed + [picture(seed) for seed in range(50, 60)]), [known.row(0), known])
    assert all(copy is not None and copy.likeness >= LIKENESS for copy in found[:5])
    assert {copy.reference for copy in found[:5] if copy is not None} == {4}  # the first block has one
    assert all(copy is None or copy.likeness < LIKENESS for copy in found[5:])


def test_what_is_no_image_is_no_copy():
    nothing = Embedded(
        np.full((1, 496), np.nan, np.float32), np.zeros((1, 32), np.uint8), np.zeros((1, 32, 32, 3), np.uint8)
    )
    assert find_copies(nothing, [embedded([picture(0)])]) == [None]
    known = find_copies(embedded([picture(0)]), [nothing])
    assert known == [None]


@pytest.mark.parametrize("value", [0, 255])
def test_flat_images_are_like_nothing(value):
    flat = np.full((THUMB, THUMB, 3), value, np.uint8)
    assert overlaid(flat, flat) < LIKENESS
