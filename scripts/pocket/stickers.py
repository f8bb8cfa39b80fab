"""Stickers: emoji art from `@iconify-json/*` npm packages, drawn as RGBA pictures and sorted by class.

An iconify package holds one `icons.json`: `{"width": W, "height": H, "icons": {name: {"body": "<svg content>"}}}`, see
https://iconify.design/docs/types/iconify-json.html. Each package is one *style*. The pocket model learns the training
styles and more (see art.py); the test style is kept apart, so that masks can be measured on art that it never saw.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

STICKER_SIZE = 192
TRAIN_STYLES = ("fluent-emoji", "fluent-emoji-flat", "noto", "noto-v1", "twemoji", "fxemoji")
TEST_STYLES = ("openmoji",)

# Class → icon names, of what is measured and tested; an icon that a style lacks is skipped. Few, compact shapes.
CLASS_ICONS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("airplane",),
    "bird": ("duck", "owl", "penguin"),
    "boat": ("sailboat", "ship", "passenger-ship"),
    "bus": ("bus", "oncoming-bus"),
    "car": ("automobile", "taxi"),
    "cat": ("cat-face",),
    "dog": ("dog-face",),
    "horse": ("horse-face",),
}

# Left out by style: boats and ducks drawn together with their water, which the mask would call boat; a ship in a frame;
# line drawings of cats whose outline is open, so that they cannot be filled.
EXCLUDED: dict[str, frozenset[str]] = {
    "fluent-emoji": frozenset({"sailboat", "ship", "passenger-ship"}),
    "fluent-emoji-flat": frozenset({"sailboat", "ship", "passenger-ship"}),
    "twemoji": frozenset({"sailboat", "passenger-ship"}),
    "fxemoji": frozenset({"sailboat", "ship"}),
    "openmoji": frozenset({"sailboat", "ship", "passenger-ship"}),
    "emojione": frozenset({"sailboat", "ship", "passenger-ship", "duck"}),
    "emojione-monotone": frozenset({"sailboat", "ship", "passenger-ship", "duck"}),
    "fluent-emoji-high-contrast": frozenset(
        {
            "sailboat",
            "ship",
            "passenger-ship",
            "cat-with-tears-of-joy",
            "cat-with-wry-smile",
            "crying-cat",
            "grinning-cat",
            "grinning-cat-with-smiling-eyes",
            "kissing-cat",
            "pouting-cat",
            "smiling-cat-with-heart-eyes",
        }
    ),
    "streamline-emojis": frozenset({"ship"}),
}


@dataclass(frozen=True)
class Sticker:
    """One drawn icon: `image` is uint8 [h, w, 4], straight alpha, cropped to the box of its alpha, long side ≤ 192."""

    class_name: str
    style: str
    icon: str
    image: np.ndarray


def stickers_digest(stickers: list[Sticker]) -> str:
    """SHA-256 of what the stickers are and show, in their order."""
    digest = hashlib.sha256()
    for sticker in stickers:
        digest.update(f"{sticker.class_name} {sticker.style} {sticker.icon} {sticker.image.shape} ".encode())
        digest.update(sticker.image.tobytes())
    return digest.hexdigest()


def draw_icon(package: dict, icon: str, size: int = STICKER_SIZE) -> np.ndarray:
    """Draw one icon of an iconify package as uint8 RGBA [h, w, 4], cropped to the box where alpha > 0.

    Args:
        package: the parsed `icons.json`.
        icon: a key of `package["icons"]`.
        size: width in pixels of the drawing before the crop.

    Raises:
        ValueError: the icon draws nothing.
    """
    entry = package["icons"][icon]
    width = entry.get("width", package.get("width", 16))
    height = entry.get("height", package.get("height", 16))
    left, top = entry.get("left", package.get("left", 0)), entry.get("top", package.get("top", 0))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{size}" height="{size * height // width}">'
        f"{entry['body']}</svg>"
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, skip_system_fonts=True))
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
    rows, columns = np.nonzero(pixels[..., 3].max(1))[0], np.nonzero(pixels[..., 3].max(0))[0]
    if len(rows) == 0:
        raise ValueError(f"icon {icon!r} draws nothing")
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()


def load_stickers(
    packages: Path, styles: tuple[str, ...], class_icons: dict[str, tuple[str, ...]] | None = None
) -> list[Sticker]:
    """Draw every icon of the class table in the given styles, in a fixed order (class, style, icon).

    Args:
        packages: folder with one sub-folder per style that holds `icons.json` (`node_modules/@iconify-json`).
        styles: sub-folder names.
        class_icons: class → icon names, each of which must have one; by default what the styles have of `CLASS_ICONS`.

    Raises:
        FileNotFoundError: a style's `icons.json` is missing.
        ValueError: a class has no icon in any of the styles.
    """
    table = CLASS_ICONS if class_icons is None else class_icons
    opened = {style: json.loads((packages / style / "icons.json").read_text(encoding="utf-8")) for style in styles}
    stickers = [
        Sticker(class_name, style, icon, draw_icon(package, icon))
        for class_name, icons in table.items()
        for style, package in opened.items()
        for icon in icons
        if icon in package["icons"] and icon not in EXCLUDED.get(style, ())
    ]
    missing = set(table) - {sticker.class_name for sticker in stickers}
    if class_icons is not None and missing:
        raise ValueError(f"no sticker for {', '.join(sorted(missing))} in styles {', '.join(styles)}")
    return stickers


def drawn_classes(packages: Path, styles: tuple[str, ...]) -> tuple[str, ...]:
    """Classes of `CLASS_ICONS` that the styles have a sticker of; raises what :func:`load_stickers` does."""
    return tuple(dict.fromkeys(sticker.class_name for sticker in load_stickers(packages, styles)))


def contact_sheet(stickers: list[Sticker], tile: int = 72, columns: int = 20) -> Image.Image:
    """All stickers side by side on grey, for a person to judge them; a new row starts with each class."""
    rows: list[list[Sticker]] = []
    for sticker in stickers:
        if not rows or rows[-1][-1].class_name != sticker.class_name or len(rows[-1]) == columns:
            rows.append([])
        rows[-1].append(sticker)
    sheet = Image.new("RGB", (columns * tile, len(rows) * tile), (150, 160, 150))
    for y, row in enumerate(rows):
        for x, sticker in enumerate(row):
            picture = Image.fromarray(sticker.image)
            picture.thumbnail((tile - 6, tile - 6))
            sheet.paste(picture, (x * tile + 3, y * tile + 3), picture)
    return sheet
