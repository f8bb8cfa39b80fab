"""Train or validation: which side of a dataset a sample is on."""

import hashlib
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val")
"""Those of a dataset without a test share."""


def split_of(key: str, val_share: float, test_share: float = 0.0) -> Split:
    """The split of a sample, from its key alone.

    A stable hash (BLAKE2b) places the key on [0, 1); below ``val_share`` it is validation, in the ``test_share`` after
    that it is test. So a sample never changes sides when the dataset grows or others are filtered out, and a larger
    share only moves samples from train to val.
    The shares hold on average: a small set may have an empty split.
    """
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"dsf-split").digest()
    place = int.from_bytes(digest, "big")
    if place < val_share * 2**64:
        return "val"
    return "test" if place < (val_share + test_share) * 2**64 else "train"
