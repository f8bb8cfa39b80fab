"""The art that the pocket model learns from: emoji of many styles, and line drawings filled with colours.

What trains on the model's pictures knows no other styles than these, so there are as many as a free licence allows.
The test style is never among them.
"""

import colorsys
import json
from pathlib import Path

import cv2
import numpy as np

from scripts.pocket.stickers import EXCLUDED, TRAIN_STYLES, Sticker, draw_icon

STYLES = (*TRAIN_STYLES, "emojione", "streamline-emojis")
LINE_STYLES = ("fluent-emoji-high-contrast", "emojione-monotone")
VARIANTS = 8
"""Pairs of colours that each line drawing is filled with."""
INSIDE = 100
"""Alpha from which a line keeps the outside out."""

_CAT_MOODS = (
    "cat-with-tears-of-joy", "cat-with-wry-smile", "crying-cat", "grinning-cat", "grinning-cat-with-smiling-eyes",
    "kissing-cat", "pouting-cat", "smiling-cat-with-heart-eyes", "weary-cat",
)  # fmt: skip
# Class → icon names, in the packages' different spellings.
ICONS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("airplane", "small-airplane"),
    "bird": ("duck", "owl", "penguin", "penguin-1", "penguin-2", "bird", "bird-1", "bird-2", "chicken", "parrot",
             "swan", "goose"),
    "boat": ("sailboat", "ship", "passenger-ship"),
    "bus": ("bus", "oncoming-bus"),
    "car": ("automobile", "taxi", "oncoming-automobile", "oncoming-taxi", "sport-utility-vehicle"),
    "cat": ("cat-face", *_CAT_MOODS, *(mood.replace("cat", "cat-face") for mood in _CAT_MOODS)),
    "dog": ("dog-face",),
    "horse": ("horse-face",),
}  # fmt: skip

# Styles with spellings of their own, whose plain "cat" is a face.
OWN_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "fxemoji": {"cat": ("cat",), "dog": ("dog",), "horse": ("horseface",)},
}


def load_art(packages: Path) -> list[Sticker]:
    """All stickers of the styles above, as many of each style as of any other within a class.

    Raises:
        FileNotFoundError: a style's `icons.json` is missing.
    """
    stickers: list[Sticker] = []
    rng = np.random.default_rng(0)
    for style in (*STYLES, *LINE_STYLES):
        package = json.loads((packages / style / "icons.json").read_text(encoding="utf-8"))
        for name, icons in ICONS.items():
            for icon in icons + OWN_NAMES.get(style, {}).get(name, ()):
                if icon not in package["icons"] or icon in EXCLUDED.get(style, ()):
                    continue
                drawing = draw_icon(package, icon)
                filled = [fill_drawing(drawing, rng) for _ in range(VARIANTS)] if style in LINE_STYLES else [drawing]
                stickers += [Sticker(name, style, icon, image) for image in filled]
    return balance(stickers)


def fill_drawing(drawing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A line drawing with its inside in one random colour and its lines in another, mostly a dark one.

    Args:
        drawing: uint8 RGBA [h, w, 4]; only its alpha counts.

    Returns:
        uint8 RGBA [h, w, 4].
    """
    alpha = drawing[..., 3]
    around = np.pad((alpha < INSIDE).astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(around, None, (0, 0), 2)
    inside = around[1:-1, 1:-1] != 2
    ink = _colour(rng, (0.0, 0.3), (0.0, 0.6)) if rng.random() < 0.75 else _colour(rng, (0.2, 0.8), (0.2, 0.9))
    paint = _colour(rng, (0.55, 1.0), (0.0, 0.9))
    share = np.where(inside, alpha, 255)[..., None] / 255  # no paint outside, where lines fade out
    colour = np.clip(paint * (1 - share) + ink * share, 0, 255).astype(np.uint8)
    return np.dstack([colour, np.where(inside, 255, alpha).astype(np.uint8)])


def _colour(rng: np.random.Generator, values: tuple[float, float], saturations: tuple[float, float]) -> np.ndarray:
    hue, saturation, value = rng.random(), rng.uniform(*saturations), rng.uniform(*values)
    return 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def balance(stickers: list[Sticker]) -> list[Sticker]:
    """Repeat stickers so that each style of a class comes equally often, to within the repetition of whole stickers."""
    counts: dict[tuple[str, str], int] = {}
    for sticker in stickers:
        key = sticker.class_name, sticker.style
        counts[key] = counts.get(key, 0) + 1
    most = {name: max(n for (other, _), n in counts.items() if other == name) for name, _ in counts}
    return [
        sticker
        for sticker in stickers
        for _ in range(round(most[sticker.class_name] / counts[sticker.class_name, sticker.style]))
    ]
