"""The layers of a gallery picture: image, attention, mask, its outline and void, as small WebP files of one size."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError

from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.fuse import fuse_maps

SIDE = 288
"""Longer side of a picture in pixels; smaller images stay as they are."""
QUALITY = 82
MASK_SIDE = 256
"""Masks of smaller images are enlarged by a whole factor, so that outlines and hatching stay fine."""
ATTENTION_SIDE = 96
"""Longer side of the attention layer: it is smooth, and the browser enlarges it."""

COLOURS = (
    (230, 25, 95), (0, 120, 230), (0, 160, 110), (235, 150, 0), (145, 70, 205), (30, 170, 200), (215, 75, 20),
    (110, 140, 20), (225, 80, 190), (95, 95, 235), (0, 135, 135), (165, 105, 60),
)  # fmt: skip
"""Colours of the classes, in label order and from the start again after the last."""

TONES = (255, 255, 255), (16, 16, 24)
"""Outer and inner line of an outline: one of them shows on any colour."""

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Picture:
    """One sample's layers; None for what it does not have.

    Attributes:
        size: of the image; the other layers have the same shape.
        image: the RGB image.
        attention: the maps as a heat map, opaque.
        mask: the classes in :data:`COLOURS`, opaque, else transparent; the page says how much shows through.
        edge: the outlines of the objects in :data:`TONES`, else transparent.
        void: void pixels hatched, else transparent; None also where there is none.
    """

    size: Size
    image: bytes | None = None
    attention: bytes | None = None
    mask: bytes | None = None
    edge: bytes | None = None
    void: bytes | None = None


def draw_picture(files: dict[str, bytes]) -> Picture | None:
    """The layers of a sample.

    Args:
        files: ``image.png``, ``evidence.safetensors``, ``mask.png``, ``instances.png``, as far as there are any.

    Returns:
        None when there is no image, or when files cannot be read.
    """
    if "image.png" not in files:
        return None
    try:
        pixels = decode_rgb_png(files["image.png"])
        size = _fit((pixels.shape[1], pixels.shape[0]), SIDE)
        mask = edge = void = None
        if "mask.png" in files and "instances.png" in files:
            labels, instances = decode_index_png(files["mask.png"]), decode_index_png(files["instances.png"])
            factor = max(1, round(MASK_SIDE / max(size)))
            mask, edge, void = _mask_layers(labels, instances, (size[0] * factor, size[1] * factor))
        attention = _attention_layer(files["evidence.safetensors"], size) if "evidence.safetensors" in files else None
        image = _webp(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), quality=QUALITY)
        return Picture(size, image, attention, mask, edge, void)
    except (ValueError, KeyError, SafetensorError, cv2.error):
        return None


def _mask_layers(
    labels: NDArray[np.uint8], instances: NDArray[np.uint8], size: Size
) -> tuple[bytes, bytes, bytes | None]:
    labels, instances = _shrink(labels, size), _shrink(instances, size)
    palette = np.zeros((256, 4), dtype=np.uint8)
    for label in range(1, VOID):
        palette[label] = (*COLOURS[(label - 1) % len(COLOURS)], 255)
    layer = _webp(Image.fromarray(palette[labels]), lossless=True)
    # Void is no border: objects end where they touch something else.
    solid = np.where(labels == VOID, BACKGROUND, instances).astype(np.uint8)
    edge = np.zeros((*labels.shape, 4), dtype=np.uint8)
    width = max(1, round(max(size) / 128))
    for tone, reach in zip(TONES[::-1], (2 * width, width), strict=True):  # the outer line over the inner one
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        edge[(solid != BACKGROUND) & (cv2.erode(solid, kernel) != cv2.dilate(solid, kernel))] = (*tone, 255)
    outline = _webp(Image.fromarray(edge), lossless=True)
    unknown = labels == VOID
    if not unknown.any():
        return layer, outline, None
    rows, columns = np.indices(unknown.shape)
    hatch = np.zeros((*unknown.shape, 4), dtype=np.uint8)
    stripe = (rows + columns) // 3 % 2 == 0
    hatch[unknown] = (255, 255, 255, 90)
    hatch[unknown & stripe] = (20, 20, 28, 150)
    return layer, outline, _webp(Image.fromarray(hatch), lossless=True)


def _attention_layer(data: bytes, size: Size) -> bytes:
    """Cross-attention as refine fuses it, the strongest class at each pixel, in the colours of a heat map."""
    width, height = _fit(size, ATTENTION_SIDE)
    fused = fuse_maps(Evidence.from_bytes(data).cross, (height, width), {16: 1.0, 32: 1.0, 64: 1.0}).max(axis=0)
    heat = cv2.applyColorMap((np.nan_to_num(fused) * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return _webp(Image.fromarray(cv2.cvtColor(heat, cv2.COLOR_BGR2RGB)), quality=QUALITY)


def _shrink(indices: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(indices, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _fit(size: Size, side: int) -> Size:
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _webp(image: Image.Image, *, quality: int = 80, lossless: bool = False) -> bytes:
    """Encode; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    # For lossless, quality is the effort.
    image.save(buffer, format="WEBP", quality=20 if lossless else quality, lossless=lossless, method=2)
    return buffer.getvalue()
