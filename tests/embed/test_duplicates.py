import io

import numpy as np
import pytest
from PIL import Image

from dsfactory.embed.duplicates import near_duplicates, perceptual_hash


def distance(left, right):
    return sum((a ^ b).bit_count() for a, b in zip(left, right, strict=True)) / (8 * len(left))


def picture(seed, size=96):
    """A dozen rectangles over each other."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(12):
        (top, left), (height, width) = rng.integers(0, size * 3 // 4, 2), rng.integers(size // 6, size // 2, 2)
        image[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return image


@pytest.mark.parametrize("change", ["jpeg", "brighter", "smaller", "grain"])
def test_a_hash_survives_what_leaves_the_picture_the_same(change):
    image = picture(1)
    if change == "jpeg":
        data = io.BytesIO()
        Image.fromarray(image).save(data, "JPEG", quality=70)
        changed = np.array(Image.open(data))
    elif change == "brighter":
        changed = np.clip(image.astype(int) + 12, 0, 255).astype(np.uint8)
    elif change == "smaller":
        changed = np.array(Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS))
    else:
        changed = np.clip(image + np.random.default_rng(0).normal(0, 2, image.shape), 0, 255).astype(np.uint8)
    assert distance(perceptual_hash(image), perceptual_hash(changed)) <= 0.08


def test_hashes_of_different_pictures_lie_apart():
    hashes = [perceptual_hash(picture(seed)) for seed in range(12)]
    assert min(distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 0.2


def test_the_first_in_the_order_stays():
    hashes = [perceptual_hash(picture(seed)) for seed in (1, 2, 1, 3, 1)]
    assert near_duplicates(hashes, [4, 3, 2, 1, 0], 0.05) == {2: 4, 0: 4}
    assert near_duplicates(hashes, [0, 1, 2], 0.05) == {2: 0}


def test_zero_means_equal_hashes_only():
    one = bytes(32)
    other = bytes(31) + b"\x01"
    assert near_duplicates([one, other, one], [0, 1, 2], 0.0) == {2: 0}
    assert near_duplicates([one, other, one], [0, 1, 2], 1 / 256) == {1: 0, 2: 0}


def test_nothing_to_compare():
    assert near_duplicates([], [], 0.05) == {}
    assert near_duplicates([bytes(32)], [], 0.05) == {}
