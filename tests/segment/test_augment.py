import numpy as np

from dsfactory.segment.augment import JITTER, jitter, random_crop, resize_labels
from tests.segment.shapes import COLOURS, shape_pair


def test_image_and_labels_stay_together():
    for seed in range(40):
        image, labels = random_crop(*shape_pair(seed, 48, 64), 32, np.random.default_rng(seed))
        assert image.shape == (32, 32, 3) and labels.shape == (32, 32)
        for label, colour in COLOURS.items():
            channel = int(np.argmax(colour))
            shown = image[labels == label].astype(int)
            others = np.delete(shown, channel, axis=1).max(axis=1, initial=0) if len(shown) else shown
            # On the edge pixels are blended with the background; the others keep their hue.
            assert np.mean(shown[:, channel] > others) > 0.7 if len(shown) > 20 else True


def test_around_a_small_image_is_void():
    image, labels = shape_pair(0, 32, 8 * 32)
    _, cropped = random_crop(image[:, :32], labels[:, :32], 64, np.random.default_rng(3))
    _, wide = random_crop(image, labels, 64, np.random.default_rng(3))
    assert np.mean(cropped == 255) < np.mean(wide == 255) < 1


def test_the_same_seed_gives_the_same_crop_and_another_gives_another():
    pair = shape_pair(1)
    first, second, other = (random_crop(*pair, 32, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_some_crops_are_mirrored():
    image, labels = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    labels[:, :16] = 1
    sides = set()
    for seed in range(12):
        _, crop = random_crop(image, labels, 32, np.random.default_rng(seed))
        known = np.argwhere(crop != 255)[:, 1]
        ones = np.argwhere(crop == 1)[:, 1]
        if len(ones):
            sides.add(bool(ones.mean() < known.mean()))
    assert sides == {True, False}


def test_a_tiny_image_does_not_vanish():
    image, labels = random_crop(
        np.zeros((1, 300, 3), np.uint8), np.ones((1, 300), np.uint8), 32, np.random.default_rng(0)
    )
    assert np.any(labels == 1) and image.shape == (32, 32, 3)


def test_jitter_changes_grey_by_its_share_at_most():
    image = np.full((4, 4, 3), 100, np.uint8)
    values = [jitter(image, np.random.default_rng(seed)).mean() for seed in range(50)]
    assert 100 * (1 - JITTER) - 1 <= min(values) < 90 and 110 < max(values) <= 100 * (1 + JITTER)


def test_labels_are_never_mixed():
    labels = np.array([[1, 200]], np.uint8)
    assert set(np.unique(resize_labels(labels, (7, 5)))) == {1, 200}
