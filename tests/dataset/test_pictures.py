"""Pictures that come from anywhere: each becomes RGB as a viewer shows it, or a reason."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dsfactory.dataset.pictures import MAX_PIXELS, look_at, read_file


def read_image(path: Path) -> NDArray[np.uint8]:
    return look_at(read_file(path)).pixels


RED, BLUE = (250, 10, 10), (10, 10, 250)


def two_halves(size: tuple[int, int] = (40, 24)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def save(path: Path, image: Image.Image, **settings: object) -> Path:
    image.save(path, **settings)
    return path


def colours(path: Path) -> tuple[list[int], list[int]]:
    """Of the middle of the left half and of the right half."""
    pixels = read_image(path)
    height, width, _ = pixels.shape
    return pixels[height // 2, width // 4].tolist(), pixels[height // 2, 3 * width // 4].tolist()


def near(found: tuple[list[int], list[int]], left: tuple[int, ...], right: tuple[int, ...], within: int = 8) -> bool:
    return bool(np.abs(np.array(found) - np.array([left, right])).max() <= within)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.tif", "a.gif", "a.jpg"])
def test_common_formats_are_read(name: str, tmp_path: Path) -> None:
    assert near(colours(save(tmp_path / name, two_halves())), RED, BLUE, within=60)  # web palettes and JPEG are rough
    assert read_image(tmp_path / name).shape == (24, 40, 3)


def test_cmyk_grey_palette_and_16_bits_are_read(tmp_path: Path) -> None:
    assert near(colours(save(tmp_path / "cmyk.jpg", two_halves().convert("CMYK"))), RED, BLUE, within=40)
    assert near(colours(save(tmp_path / "p.png", two_halves().quantize(4))), RED, BLUE)
    bits = save(tmp_path / "bits.png", Image.new("1", (32, 32), 1))
    assert read_image(bits).min() == 255
    ramp = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    deep = read_image(save(tmp_path / "deep.png", Image.fromarray(ramp)))
    assert np.array_equal(deep, np.repeat((ramp >> 8)[:, :, None], 3, axis=2))
    deep = read_image(save(tmp_path / "deep.tif", Image.fromarray(ramp)))
    assert deep.max() == 255 and deep.min() == 0


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_twelve_bits_in_files_of_sixteen_are_scaled(extension: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 32 * 40).astype(np.uint16).reshape(32, 40)
    grey = read_image(save(tmp_path / f"grey.{extension}", Image.fromarray(ramp)))
    assert np.array_equal(grey, np.repeat((ramp >> 4)[:, :, None], 3, axis=2))
    colours = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2)  # as RGB
    assert cv2.imwrite(str(tmp_path / "colours.png"), colours[:, :, ::-1])
    assert np.array_equal(read_image(tmp_path / "colours.png"), colours >> 4)
    assert cv2.imwrite(str(tmp_path / "deep.png"), colours[:, :, ::-1] * 16)
    assert np.array_equal(read_image(tmp_path / "deep.png"), colours >> 4)


def test_a_large_picture_is_scaled_and_says_its_own_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "phone.jpg", two_halves((6000, 4000)), exif=exif)
    looked = look_at(read_file(path))
    height, width, _ = looked.pixels.shape
    assert (looked.width, looked.height, looked.kind) == (4000, 6000, "jpg")
    assert height * width <= MAX_PIXELS and height * width > 0.99 * MAX_PIXELS and abs(height / width - 1.5) < 0.001


def test_transparency_is_seen_on_white(tmp_path: Path) -> None:
    image = two_halves().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    image.paste((10, 10, 250, 255), (20, 0, 40, 24))
    assert near(colours(save(tmp_path / "a.png", image)), (255, 255, 255), BLUE)
    palette = two_halves().quantize(4)
    left = palette.getpixel((5, 5))
    assert near(colours(save(tmp_path / "p.png", palette, transparency=left)), (255, 255, 255), BLUE)


@pytest.mark.parametrize(("orientation", "shape"), [(3, (24, 40, 3)), (6, (40, 24, 3)), (8, (40, 24, 3))])
def test_a_picture_is_turned_as_its_exif_says(orientation: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "turned.jpg", two_halves(), exif=exif, quality=95, subsampling=0)
    pixels = read_image(path)
    assert pixels.shape == shape
    place = {3: (12, 30), 6: (8, 12), 8: (32, 12)}[orientation]  # where red has gone
    expected = pixels[place]
    assert np.abs(expected.astype(int) - RED).max() < 12


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header names any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def hostile(kind: str, path: Path) -> None:
    """Write something at ``path`` that no picture can be made of."""
    whole = io.BytesIO()
    two_halves((64, 64)).save(whole, "JPEG")
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "svg":
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'/>")
    elif kind == "cut":
        path.write_bytes(whole.getvalue()[:300])
    elif kind == "bomb":
        path.write_bytes(png_that_claims(60_000, 60_000))
    elif kind == "huge":
        path.write_bytes(png_that_claims(9_000, 9_000))
    elif kind == "animated":
        frames = [Image.new("L", (32, 32), shade) for shade in (0, 100, 200)]
        frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])
    elif kind == "pages":
        two_halves().save(path, "TIFF", save_all=True, append_images=[two_halves()])
    elif kind == "dot":
        Image.new("RGB", (1, 1)).save(path, "PNG")
    elif kind == "float":
        Image.new("F", (32, 32)).save(path, "TIFF")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "gone":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "no permission":
        path.write_bytes(whole.getvalue())
        path.chmod(0)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "an empty file"),
        ("text", "not a picture"),
        ("svg", "not a picture"),
        ("cut", "cut off or damaged"),
        ("bomb", "more than 67 million pixels"),
        ("huge", "more than 67 million pixels"),
        ("animated", "several frames or pages"),
        ("pages", "several frames or pages"),
        ("dot", "less than 16 pixels"),
        ("float", "32 bits a pixel"),
        ("loop", "Too many levels of symbolic links"),
        ("gone", "No such file"),
        ("pipe", "not a plain file"),
        ("no permission", "Permission denied"),
    ],
)
def test_what_cannot_be_used_has_a_reason(kind: str, reason: str, tmp_path: Path) -> None:
    if kind == "no permission" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    hostile(kind, tmp_path / "it.jpg")
    with pytest.raises(ValueError, match=reason):
        read_image(tmp_path / "it.jpg")


@pytest.mark.filterwarnings("error")
def test_random_damage_never_raises_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for extension in ("jpg", "png", "gif", "tif", "webp", "bmp"):
        whole = np.frombuffer(save(tmp_path / f"whole.{extension}", two_halves(), exif=exif).read_bytes(), np.uint8)
        for _ in range(60):
            data = whole.copy()
            data[rng.integers(0, len(data), rng.integers(1, 12))] = rng.integers(0, 256)
            (tmp_path / "bad").write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)].tobytes())
            try:
                assert read_image(tmp_path / "bad").dtype == np.uint8
            except ValueError as error:
                assert 0 < len(str(error)) < 100
