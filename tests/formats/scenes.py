"""Small labelled samples with what real ones have: two classes, a hole, void, an object at the border, a tiny one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import encode_index_png, encode_rgb_png
from dsfactory.core.sample import VOID, sample_key
from dsfactory.dataset.sample import ExportSample
from dsfactory.dataset.split import Split, split_of
from dsfactory.formats.exporter import ExportSummary, export

CLASSES = ("dog", "crème brûlée")
HEIGHT, WIDTH = 48, 64
COUNT = 12
VAL_SHARE = 0.3


def labels(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Mask and instances, uint8 ``(48, 64)``, of one sample: a ring, a square amid void, and a single pixel."""
    mask, instances = np.zeros((2, HEIGHT, WIDTH), dtype=np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - 20 - number % 7, x - 18 - number % 5)
    ring = (distance < 14) & (distance > 5)
    square = (slice(number % 9, number % 9 + 12), slice(52, 64))
    mask[ring], instances[ring] = 1 + number % 2, 1
    mask[:24, 48:], instances[:24, 48:] = VOID, VOID
    mask[square], instances[square] = 2, 2
    mask[46, 60], instances[46, 60] = 1, 3
    return mask, instances


def sample(number: int) -> ExportSample:
    mask, instances = labels(number)
    noise = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    row = {"number": number, "prompt": f"a dog, {number}", "model": "pocket", "image_seed": 2**60 + number}
    files = (encode_rgb_png(noise), encode_index_png(mask), encode_index_png(instances))
    return ExportSample(sample_key(number), row, *files)


def samples(count: int) -> Iterator[ExportSample]:
    return (sample(number) for number in range(count))


def write(format: str, out: Path, count: int = COUNT, val_share: float = VAL_SHARE) -> ExportSummary:
    """The first samples as a dataset."""
    return export(format, samples(count), CLASSES, out, fingerprint="f", model="pocket", val_share=val_share)


def keys_of(split: Split) -> list[str]:
    """Keys of a split of what :func:`write` makes of itself."""
    return [item.key for item in samples(COUNT) if split_of(item.key, VAL_SHARE) == split]
