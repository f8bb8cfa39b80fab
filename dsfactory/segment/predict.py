"""What a trained network says about images, at the images' own size."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dsfactory.segment.augment import resize_image
from dsfactory.segment.data import Image, Images, Labels
from dsfactory.segment.network import Segmenter

BATCH = 16


def predict(model: Segmenter, images: Images, side: int) -> Iterator[NDArray[np.float32]]:
    """Class probabilities of each image, in order.

    Args:
        model: a trained network.
        images: uint8 ``(height, width, 3)`` each, of any size; loaded one batch at a time.
        side: longer side to which an image is scaled for the network.

    Yields:
        float32 ``(labels, height, width)`` that sum to 1 in each pixel, at the image's own size.
    """
    for size, logits in _logits(model, images, side):
        full = functional.interpolate(logits[None], size=size, mode="bilinear")[0]
        yield full.softmax(dim=0).numpy()


def predict_labels(model: Segmenter, images: Images, side: int) -> Iterator[Labels]:
    """The most probable class of each pixel, as :func:`predict`, in memory that does not grow with the classes.

    Yields:
        uint8 ``(height, width)``.
    """
    for size, logits in _logits(model, images, side):
        best = torch.full(size, -torch.inf)
        labels = torch.zeros(size, dtype=torch.uint8)
        for label, channel in enumerate(logits):
            full = functional.interpolate(channel[None, None], size=size, mode="bilinear")[0, 0]
            labels[full > best] = label
            best = torch.maximum(best, full)
        yield labels.numpy()


def _logits(model: Segmenter, images: Images, side: int) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Own size ``(height, width)`` and float32 logits ``(labels, h, w)`` of each image."""
    device = next(model.parameters()).device
    model.eval()
    batch: list[Image] = []
    sizes: list[tuple[int, int]] = []
    for index in range(len(images)):
        image = images[index]
        scaled = _scale(image, side)
        if batch and (len(batch) == BATCH or scaled.shape != batch[0].shape):
            yield from zip(sizes, _run(model, batch, device), strict=True)
            batch, sizes = [], []
        batch.append(scaled)
        sizes.append((image.shape[0], image.shape[1]))
    if batch:
        yield from zip(sizes, _run(model, batch, device), strict=True)


@torch.no_grad()
def _run(model: Segmenter, batch: list[Image], device: torch.device) -> Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(np.stack(batch).transpose(0, 3, 1, 2)))
    logits: Tensor = model(pixels.to(device)).float().cpu()
    return logits


def _scale(image: Image, side: int) -> Image:
    """The image with its longer side at ``side``, its shorter at the nearest multiple of 32 or 32."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    size = max(32, 32 * round(width * factor / 32)), max(32, 32 * round(height * factor / 32))
    if size == (width, height):
        return image
    return resize_image(image, size)
