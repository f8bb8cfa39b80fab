from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from scripts.pocket.scenes import BACKGROUNDS, compose_scene, group_by_class, paint_background
from scripts.pocket.stickers import Sticker, load_stickers

SIZE = 96


@pytest.fixture(scope="module")
def groups(packages: Path) -> dict[str, list[Sticker]]:
    return group_by_class(load_stickers(packages, ("style-a",), {name: (name,) for name in ("dog", "bird", "cat")}))


def test_scene_is_a_function_of_its_seed(groups: dict[str, list[Sticker]]) -> None:
    def draw(seed: int) -> tuple[bytes, bytes]:
        scene = compose_scene(groups, ("dog", "bird"), "grass", np.random.default_rng([seed, 5]), SIZE)
        return scene.image.tobytes(), scene.labels.tobytes()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_mask_is_where_the_sticker_is(groups: dict[str, list[Sticker]]) -> None:
    """The bird is pure blue on night: each pixel of the mask is far from the background, each other near it."""
    for seed in range(8):
        scene = compose_scene(groups, ("bird",), "night", np.random.default_rng([seed]), SIZE)
        blue = scene.image[..., 2].astype(int)
        mask = scene.labels == 1
        assert blue[mask].min() > 125  # at least half sticker
        assert blue[~mask].max() < 190  # at most half sticker


def test_single_sticker_lies_inside_and_has_the_asked_size(groups: dict[str, list[Sticker]]) -> None:
    for seed in range(20):
        labels = compose_scene(groups, ("bird",), "sky", np.random.default_rng([seed]), SIZE).labels
        rows, columns = np.nonzero(labels.any(1))[0], np.nonzero(labels.any(0))[0]
        assert 0.43 * SIZE <= np.ptp(rows) + 1 <= 0.87 * SIZE
        assert abs(np.ptp(rows) - np.ptp(columns)) <= 2  # a disc stays a disc


def test_labels_follow_the_order_of_classes(groups: dict[str, list[Sticker]]) -> None:
    scene = compose_scene(groups, ("cat", "dog", "bird"), "snow", np.random.default_rng([3]), SIZE)
    assert scene.classes == ("cat", "dog", "bird")
    assert set(np.unique(scene.labels)) == {0, 1, 2, 3}
    mean_blue = [scene.image[scene.labels == k + 1][:, 2].mean() for k in range(3)]
    assert mean_blue[2] > max(mean_blue[:2]) + 100  # the bird is the blue one


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_background_kinds_paint_in_range(kind: str) -> None:
    image = paint_background(kind, np.random.default_rng([0]), SIZE)
    assert image.shape == (SIZE, SIZE, 3)
    assert image.min() > -30 and image.max() < 290
