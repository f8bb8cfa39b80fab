import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from scripts.pocket.art import ICONS
from scripts.pocket.stickers import CLASS_ICONS, EXCLUDED, contact_sheet, draw_icon, drawn_classes, load_stickers


def test_icon_is_cropped_to_its_alpha_and_keeps_its_colour(packages: Path) -> None:
    package = json.loads((packages / "style-a" / "icons.json").read_text())
    image = draw_icon(package, "dog", size=64)
    assert image.dtype == np.uint8
    assert image.shape == (24, 48, 4)  # 12×24 of 32 units at 64 px
    assert image[12, 24].tolist() == [0xA0, 0x5A, 0x2C, 255]


def test_icon_with_its_own_size_and_origin(packages: Path) -> None:
    body = '<rect x="-8" y="-4" width="16" height="8" fill="#ff0000"/>'
    package = {"icons": {"flag": {"body": body, "left": -16, "top": -8, "width": 32, "height": 16}}}
    assert draw_icon(package, "flag", size=64).shape == (16, 32, 4)


def test_icon_that_draws_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="'blank' draws nothing"):
        draw_icon({"icons": {"blank": {"body": "<g/>"}}}, "blank")


def test_load_keeps_class_and_style_and_skips_what_a_style_lacks(packages: Path) -> None:
    stickers = load_stickers(packages, ("style-a", "style-b"), {"dog": ("dog",), "cat": ("cat", "cat-face")})
    assert [(s.class_name, s.style, s.icon) for s in stickers] == [
        ("dog", "style-a", "dog"),
        ("dog", "style-b", "dog"),
        ("cat", "style-a", "cat"),
    ]


def test_class_without_sticker_is_named(packages: Path) -> None:
    with pytest.raises(ValueError, match="no sticker for cat in styles style-b"):
        load_stickers(packages, ("style-b",), {"cat": ("cat",)})


def test_without_a_table_a_style_gives_the_classes_it_has(tmp_path: Path) -> None:
    square = {"body": '<rect width="16" height="16" fill="#ff0000"/>'}
    for style, icons in (("a", ("dog-face", "taxi", "globe")), ("openmoji", ("sailboat", "dog-face"))):
        (tmp_path / style).mkdir()
        (tmp_path / style / "icons.json").write_text(json.dumps({"icons": dict.fromkeys(icons, square)}))
    assert drawn_classes(tmp_path, ("a",)) == ("car", "dog")
    assert drawn_classes(tmp_path, ("openmoji",)) == ("dog",)  # its boats are drawn together with their water


def test_missing_package_is_named(packages: Path) -> None:
    with pytest.raises(FileNotFoundError, match="style-z"):
        load_stickers(packages, ("style-z",), {"dog": ("dog",)})


def test_exclusions_name_icons_of_the_tables() -> None:
    known = {icon for table in (CLASS_ICONS, ICONS) for icons in table.values() for icon in icons}
    assert set().union(*EXCLUDED.values()) <= known


def test_contact_sheet_starts_a_row_per_class(packages: Path) -> None:
    stickers = load_stickers(packages, ("style-a", "style-b"), {"dog": ("dog",), "cat": ("cat",)})
    assert contact_sheet(stickers, tile=20, columns=4).size == (80, 40)
