"""Pages that need no network: images with the labels of several hands beside each other."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.jobs.compare import Comparison, describe
from dsfactory.report.pictures import COLOURS, TONES
from dsfactory.storage.atomic import write_atomic

MARK = "made by dsfactory compare"
SIDE = 320
"""Longer side of a picture in pixels."""
WORST = 20
STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1b1b1f;
background:#fff}
@media(prefers-color-scheme:dark){body{color:#e7e7ea;background:#16161a}}
pre{overflow-x:auto}section{margin:1.6rem 0}figure{display:inline-block;margin:0 .8rem .6rem 0;max-width:100%}
img{display:block;max-width:100%;border-radius:4px}figcaption{font-size:13px;opacity:.8}.swatch{display:inline-block;
width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 .9em}"""


def overlay(image: NDArray[np.uint8] | None, mask: NDArray[np.uint8]) -> bytes:
    """An image with a mask on it, as WebP.

    Args:
        image: uint8 ``(height, width, 3)``; None for a grey one.
        mask: uint8 ``(height, width)`` of class ids; 0 background, 255 is hatched.
    """
    height, width = mask.shape
    factor = SIDE / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    ids = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    if image is None:
        pixels = np.full((*ids.shape, 3), 128, np.uint8)
    else:
        shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        pixels = np.asarray(cv2.resize(image, size, interpolation=shrinks), dtype=np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    for number in range(1, VOID):
        palette[number] = COLOURS[(number - 1) % len(COLOURS)]
    labelled = (ids != BACKGROUND) & (ids != VOID)
    pixels = np.where(labelled[..., None], (0.55 * pixels + 0.45 * palette[ids]).astype(np.uint8), pixels)
    rows, columns = np.indices(ids.shape)
    pixels[(ids == VOID) & ((rows + columns) // 4 % 2 == 0)] = (200, 200, 210)
    kernel = np.ones((3, 3), np.uint8)
    edge = labelled & (cv2.erode(ids, kernel) != cv2.dilate(ids, kernel))
    pixels[cv2.dilate(edge.astype(np.uint8), kernel) > 0] = TONES[0]
    pixels[edge] = TONES[1]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=82, method=2)
    return buffer.getvalue()


def figure(picture: bytes, caption: str) -> str:
    """HTML of a picture with words below."""
    data = base64.b64encode(picture).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/webp;base64,{data}"><figcaption>{text}</figcaption></figure>'


def swatches(classes: Sequence[str]) -> str:
    """HTML that says which colour is which class."""
    return "".join(
        f'<span class="swatch" style="background:rgb{COLOURS[place % len(COLOURS)]}"></span>{html.escape(name)}'
        for place, name in enumerate(classes)
    )


def write_comparison(found: Comparison, page: Path) -> None:
    """Write the page of a comparison: its tables, and the images on which the hands agree least."""
    worst = found.images[:WORST]
    pictures: dict[str, NDArray[np.uint8]] = {}
    for one in found.labellings:
        if missing := [name for name in worst if name not in pictures]:
            pictures |= one.pictures(missing)
    sections = []
    for name in worst:
        figures = []
        for one in found.labellings:
            mask, image = one.mask(name), pictures.get(name)
            figures.append(figure(overlay(image, mask), one.name))
        sections.append(
            f"<section><h3>{html.escape(name)}: {found.agreement[name]:.2f}</h3>{''.join(figures)}</section>"
        )
    notes = "".join(f"<p>{html.escape(line)}</p>" for line in found.notes)
    title = "Labels compared"
    text = (
        f'<!doctype html><html lang="en"><!-- {MARK} --><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{notes}'
        f"<pre>{html.escape(chr(10).join(describe(found)))}</pre><h2>Where they agree least</h2>"
        f"<p>Mean IoU over pairs and classes.{swatches(found.classes)}</p>{''.join(sections)}</html>\n"
    )
    write_atomic(page, text.encode("utf-8", "replace"))
