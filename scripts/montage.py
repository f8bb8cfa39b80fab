"""Show the first images of a VOC dataset beside their masks, on one sheet.

    python scripts/montage.py runs/demo/export/voc --out montage.png
    python scripts/montage.py runs/demo/export/voc --prefix 1 --num 18 --out splices.png

Each class has a colour, each object an outline and its name; void is veiled in white. Nothing is picked by hand:
the images are the first of ImageSets/Segmentation/trainval.txt.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dsfactory.core.words import counted

VOID = 255
# Vivid on drawings and photographs alike, and told apart by most colour-blind readers.
COLOURS = ((230, 25, 95), (0, 120, 230), (0, 160, 110), (235, 150, 0), (145, 70, 205), (60, 175, 230), (200, 85, 0))
OPACITY = 0.45
SMALL = 0.01
"""Objects below this share of the image get no name: the plate would hide them and their neighbours."""
GAP = 0.06
"""Space around a pair, as a share of a tile's side."""
SEAM = 2
"""Pixels between an image and its labels."""


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        image: RGB.
        mask: class ids, uint8 ``(height, width)``, 255 void.
        objects: object ids, uint8 ``(height, width)``, 255 void.
        names: the objects' class names; the first belongs to object 1.
    """

    image: Image.Image
    mask: NDArray[np.uint8]
    objects: NDArray[np.uint8]
    names: list[str]


def read_sample(folder: Path, key: str) -> Sample:
    """Read a sample of a VOC dataset."""
    annotation = ElementTree.parse(folder / "Annotations" / f"{key}.xml")
    return Sample(
        Image.open(folder / "JPEGImages" / f"{key}.jpg").convert("RGB"),
        np.array(Image.open(folder / "SegmentationClass" / f"{key}.png")),
        np.array(Image.open(folder / "SegmentationObject" / f"{key}.png")),
        [name.text or "" for name in annotation.iterfind("object/name")],
    )


def draw_pair(sample: Sample, side: int) -> Image.Image:
    """A sample's image and the same with its labels, side by side, each fitted into a square of ``side`` pixels."""
    scale = side / max(sample.image.size)
    size = (round(sample.image.width * scale), round(sample.image.height * scale))
    image = sample.image.resize(size, Image.Resampling.LANCZOS)
    pair = Image.new("RGB", (2 * side + SEAM, side), "white")
    place = ((side - size[0]) // 2, (side - size[1]) // 2)
    pair.paste(image, place)
    pair.paste(draw_labels(image, sample), (side + SEAM + place[0], place[1]))
    return pair


def draw_labels(image: Image.Image, sample: Sample) -> Image.Image:
    """Lay a sample's labels over its image, which may have been resized."""
    canvas = np.array(image, dtype=np.float32)
    width = max(1, round(max(image.size) / 110))
    veil(canvas, smooth(sample.mask == VOID, image.size), (255, 255, 255))
    tags = []
    for number, name in enumerate(sample.names, start=1):
        pixels = sample.objects == number
        region = smooth(pixels, image.size)
        if not region.any():
            continue
        colour = COLOURS[(int(sample.mask[pixels][0]) - 1) % len(COLOURS)]
        veil(canvas, region, colour)
        outlines, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, colour, width, cv2.LINE_AA)
        if region.mean() >= SMALL:
            tags.append((name, colour, cv2.boundingRect(region.astype(np.uint8))))
    result = Image.fromarray(canvas.round().clip(0, 255).astype(np.uint8))
    for name, colour, (left, top, _, _) in tags:
        draw_tag(result, name, colour, (left, top))
    return result


def smooth(pixels: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask without stairs; ``size`` is width, height."""
    grey = Image.fromarray(pixels.astype(np.uint8) * 255)
    return np.asarray(grey.resize(size, Image.Resampling.BICUBIC)) > 127


def veil(canvas: NDArray[np.float32], region: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    """Tint a region of the canvas in place."""
    canvas[region] = (1 - OPACITY) * canvas[region] + OPACITY * np.array(colour, dtype=np.float32)


def draw_tag(image: Image.Image, text: str, colour: tuple[int, int, int], corner: tuple[int, int]) -> None:
    """Write a class name on a plate of its colour, on top of an object's upper left corner but inside the image."""
    draw = ImageDraw.Draw(image)
    points = max(10, round(max(image.size) / 15))
    font = ImageFont.load_default(points)
    pad = points / 4
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font, anchor="la")
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(corner[0], image.width - width))
    y = max(0, min(corner[1] - height, image.height - height))
    draw.rounded_rectangle((x, y, x + width, y + height), radius=pad, fill=colour)
    draw.text((x + pad - left, y + pad - top), text, fill="white", font=font, anchor="la")


def draw_sheet(samples: list[Sample], columns: int, side: int) -> Image.Image:
    """Arrange pairs in rows of ``columns``."""
    gap = round(side * GAP)
    rows = -(-len(samples) // columns)
    step = (2 * side + SEAM + gap, side + gap)
    sheet = Image.new("RGB", (min(columns, len(samples)) * step[0] + gap, rows * step[1] + gap), "white")
    for position, sample in enumerate(samples):
        row, column = divmod(position, columns)
        sheet.paste(draw_pair(sample, side), (gap + column * step[0], gap + row * step[1]))
    return sheet


def main() -> int:
    parser = argparse.ArgumentParser(description="Show the first images of a VOC dataset beside their masks.")
    parser.add_argument("folder", type=Path, help="the dataset: the folder that holds JPEGImages")
    parser.add_argument("--out", type=Path, default=Path("montage.png"), help="the PNG to write (default montage.png)")
    parser.add_argument("--num", type=int, default=8, help="number of images (default 8)")
    parser.add_argument("--prefix", default="", help="only images whose names begin so (default: all)")
    parser.add_argument("--columns", type=int, default=4, help="images in a row (default 4)")
    parser.add_argument("--size", type=int, default=192, help="side of an image on the sheet in pixels (default 192)")
    arguments = parser.parse_args()
    if min(arguments.num, arguments.columns, arguments.size) < 1:
        parser.error("--num, --columns and --size must be at least 1")
    listing = arguments.folder / "ImageSets" / "Segmentation" / "trainval.txt"
    if not listing.is_file():
        parser.error(f"{arguments.folder} is not a VOC dataset (it has no {listing.relative_to(arguments.folder)})")
    keys = [key for key in listing.read_text(encoding="utf-8").split() if key.startswith(arguments.prefix)]
    keys = keys[: arguments.num]
    if not keys:
        wanted = f" whose name begins with {arguments.prefix}" if arguments.prefix else ""
        parser.error(f"{listing} lists no image{wanted}")
    samples = [read_sample(arguments.folder, key) for key in keys]
    draw_sheet(samples, arguments.columns, arguments.size).save(arguments.out, optimize=True)
    print(f"{arguments.out}: {counted(len(samples), 'image')} of {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
