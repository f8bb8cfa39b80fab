"""What the pocket model learns from: line drawings are filled, and every style has its share."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from scripts.pocket.art import LINE_STYLES, STYLES, balance, fill_drawing, load_art
from scripts.pocket.stickers import TEST_STYLES, Sticker, draw_icon

SQUARE = '<rect x="2" y="2" width="28" height="28" fill="#f00"/>'
RING = '<circle cx="16" cy="16" r="12" fill="none" stroke="currentColor" stroke-width="2"/>'


def write_package(folder: Path, icons: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    package = {"width": 32, "height": 32, "icons": {name: {"body": body} for name, body in icons.items()}}
    (folder / "icons.json").write_text(json.dumps(package), encoding="utf-8")


def test_a_closed_outline_is_filled_and_its_line_stays() -> None:
    drawing = draw_icon({"width": 32, "height": 32, "icons": {"ring": {"body": RING}}}, "ring", size=128)
    filled = fill_drawing(drawing, np.random.default_rng(0))
    middle, side = filled.shape[0] // 2, filled.shape[1]
    assert filled[middle, side // 2, 3] == 255 and filled[2, 2, 3] == 0
    assert (filled[middle, side // 2, :3] != filled[middle, 4, :3]).any()  # paint and ink
    opaque = filled[..., 3] > 127
    assert opaque.mean() == pytest.approx(np.pi / 4, abs=0.02)


def test_colours_follow_the_generator() -> None:
    drawing = draw_icon({"width": 32, "height": 32, "icons": {"ring": {"body": RING}}}, "ring", size=64)
    first, again, other = (fill_drawing(drawing, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_every_style_of_a_class_comes_equally_often() -> None:
    image = np.zeros((1, 1, 4), np.uint8)
    stickers = [Sticker("cat", "a", str(n), image) for n in range(6)] + [Sticker("cat", "b", "x", image)]
    stickers.append(Sticker("dog", "b", "x", image))
    counts = Counter((sticker.class_name, sticker.style) for sticker in balance(stickers))
    assert counts == {("cat", "a"): 6, ("cat", "b"): 6, ("dog", "b"): 1}


def test_art_is_of_all_styles_without_the_test_style_and_without_what_cannot_be_filled(tmp_path: Path) -> None:
    for style in STYLES:
        write_package(tmp_path / style, {"dog-face": SQUARE, "grinning-cat": SQUARE})
    write_package(tmp_path / LINE_STYLES[0], {"dog-face": RING, "grinning-cat": RING})
    write_package(tmp_path / LINE_STYLES[1], {"bus": RING})
    art = load_art(tmp_path)
    kinds = {(sticker.class_name, sticker.style) for sticker in art}
    assert {style for name, style in kinds if name == "dog"} == {*STYLES, LINE_STYLES[0]}
    assert {style for name, style in kinds if name == "cat"} == set(STYLES)
    assert ("bus", LINE_STYLES[1]) in kinds
    assert not {style for _, style in kinds} & set(TEST_STYLES)
    dogs = [sticker.image for sticker in art if sticker.class_name == "dog" and sticker.style == LINE_STYLES[0]]
    assert len({image.tobytes() for image in dogs}) == len(dogs)  # each in other colours
