"""The scenes of the test beds: the pocket's stickers, with twins that touch and with nothing at all.

Scene n depends on (seed, n), the stickers and the captions alone. Masks are exact, and no training here reads them.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from scripts.pocket.captions import ADJECTIVES, OPENINGS, PLACES, SYNONYMS, draw_caption
from scripts.pocket.dataset import draw_classes
from scripts.pocket.scenes import BACKGROUNDS, compose_scene, paint_background, place_sticker
from scripts.pocket.stickers import Sticker

EMPTY, TWINS = 0.1, 0.12
"""Shares of scenes without any sticker, and with two stickers of one class that touch."""
GAP = (-0.10, 0.02)
"""Between the boxes of twins, as a share of the scene's side: below 0 they overlap."""

_PLURALS = {
    "bus": "buses", "goose": "geese", "puppy": "puppies", "kitty": "kitties", "pony": "ponies", "ferry": "ferries",
    **{word: word for word in ("geese", "buses", "puppies", "ponies")},
}  # fmt: skip
_NAMES = {"grass": "grass", "sky": "the sky", "sand": "sand", "snow": "snow", "water": "water", "road": "a road",
          "wall": "a wall", "night": "the night"}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A scene with exact labels.

    Attributes:
        image: uint8 RGB, ``(size, size, 3)``.
        labels: uint8 ``(size, size)``: 0 background, k the k-th object.
        classes: the class of each object, in order; a class may come twice.
        caption: what the models are told.
    """

    image: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    caption: str


def render(
    groups: dict[str, list[Sticker]],
    captions: dict[tuple[str, ...], list[str]],
    seed: int,
    size: int,
    number: int,
    kind: str = "any",
) -> Scene:
    """Scene ``number``.

    Args:
        groups: class name to stickers.
        captions: real captions by the classes that they name.
        seed: of all scenes.
        size: side in pixels.
        number: of the scene.
        kind: ``one`` class, ``several`` classes, ``twins`` (two of one class that touch), ``empty``, or ``any`` of them
            as often as in training.
    """
    rng = np.random.default_rng([seed, number])
    names = tuple(groups)
    drawn = rng.random()
    if kind == "any":
        kind = "empty" if drawn < EMPTY else "twins" if drawn < EMPTY + TWINS else "scene"
    background = tuple(PLACES)[rng.integers(len(PLACES))]
    if kind == "empty":
        image = np.clip(paint_background(background, rng, size) + 0.5, 0, 255).astype(np.uint8)
        return Scene(image, np.zeros((size, size), np.uint8), (), empty_caption(background, rng))
    if kind == "twins":
        name = names[rng.integers(len(names))]
        image, labels = _twins(groups[name], background, rng, size)
        return Scene(image, labels, (name, name), twin_caption(name, background, rng))
    classes = draw_classes(names, rng)
    while (kind, len(classes) > 1) in (("one", True), ("several", False)):
        classes = draw_classes(names, rng)
    caption, background = draw_caption(classes, captions, rng)
    scene = compose_scene(groups, classes, background, rng, size)
    return Scene(scene.image, scene.labels, scene.classes, caption)


def _twins(
    stickers: list[Sticker], background: str, rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two stickers of one class side by side, each visible and in touch with the other."""
    while True:
        image = paint_background(background, rng, size)
        labels = np.zeros((size, size), np.uint8)
        scale = rng.uniform(0.34, 0.46)
        gap = rng.uniform(*GAP)
        middle = rng.uniform(0.45, 0.55)
        for number, side in enumerate((-1, 1), start=1):
            sticker = stickers[rng.integers(len(stickers))]
            layer = place_sticker(sticker, rng, size, scale * rng.uniform(0.9, 1.1), middle + side * (scale + gap) / 2)
            image = image * (1 - layer[..., 3:]) + layer[..., :3]
            labels[layer[..., 3] > 0.5] = number
        if _touch(labels):
            return np.clip(image + 0.5, 0, 255).astype(np.uint8), labels


def _touch(labels: np.ndarray) -> bool:
    """Whether both objects show at least 4 % of the scene and one begins where the other ends."""
    first, second = (labels == number for number in (1, 2))
    if min(first.mean(), second.mean()) < 0.04:
        return False
    grown = cv2.dilate(first.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return int((grown & second).sum()) >= 6


def twin_caption(name: str, background: str, rng: np.random.Generator) -> str:
    """``two dogs on the grass``."""
    words = SYNONYMS[name]
    word = name if rng.random() < 0.6 else words[rng.integers(len(words))]
    count = ("two ", "a pair of ", "two ")[rng.integers(3)]
    noun = count + ADJECTIVES[rng.integers(len(ADJECTIVES))] + _PLURALS.get(word, f"{word}s")
    text = OPENINGS[rng.integers(len(OPENINGS))].format(noun).replace("there is", "there are")
    return text if rng.random() < 0.25 else f"{text} {PLACES[background][rng.integers(len(PLACES[background]))]}"


def empty_caption(background: str, rng: np.random.Generator) -> str:
    """``an empty scene on the grass``, ``a photo of snow``."""
    if rng.random() < 0.5:
        return OPENINGS[rng.integers(len(OPENINGS))].format(_NAMES[background])
    return f"an empty scene {PLACES[background][rng.integers(len(PLACES[background]))]}"


assert set(_NAMES) == set(BACKGROUNDS)
