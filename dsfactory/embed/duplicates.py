"""Near-duplicate images, by perceptual hash."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.segment.data import Image as Pixels

HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2


def perceptual_hash(image: Pixels) -> bytes:
    """The signs of an image's 16² lowest frequencies against their median (pHash), 32 bytes.

    Args:
        image: uint8 RGB ``(height, width, 3)``.
    """
    from imagehash import phash

    bits = phash(Image.fromarray(image), hash_size=HASH_SIDE).hash
    return np.packbits(bits).tobytes()


def near_duplicates(hashes: Sequence[bytes], order: Sequence[int], distance: float) -> dict[int, int]:
    """Which images repeat another.

    Args:
        hashes: one per image, from :func:`perceptual_hash`.
        order: indices of the images to look at, the best first: of two alike the earlier stays.
        distance: largest share of differing bits that makes two images alike.

    Returns:
        The index of each repeating image and that of the image it repeats. What stays is pairwise further apart.
    """
    limit = distance * HASH_BITS
    words: NDArray[np.uint64] = np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, HASH_BITS // 64)
    kept = np.empty((len(order), words.shape[1]), dtype=np.uint64)
    names: list[int] = []
    repeats: dict[int, int] = {}
    for index in order:
        differing = np.bitwise_count(kept[: len(names)] ^ words[index]).sum(axis=1)
        if len(differing) and differing.min() <= limit:
            repeats[index] = names[int(differing.argmin())]
        else:
            kept[len(names)] = words[index]
            names.append(index)
    return repeats
