"""Train or validation: which side of a dataset a sample is on."""

import hashlib
from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


def split_of(key: str, val_share: float) -> Split:
    """The split of a sample, from its key alone.

    A stable hash (BLAKE2b) places the key on [0, 1); below ``val_share`` it is validation. So a sample never changes
    sides when the dataset grows or others are filtered out, and a larger share only moves samples from train to val.
    The shares hold on average: a small set may have an empty split.
    """
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"dsf-split").digest()
    return "val" if int.from_bytes(digest, "big") < val_share * 2**64 else "train"
