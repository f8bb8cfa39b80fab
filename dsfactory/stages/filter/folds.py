"""Cross-validation folds."""

import hashlib
from collections.abc import Sequence


def assign_folds(samples: Sequence[tuple[str, str]], folds: int) -> list[int]:
    """Deal samples into folds by a stable hash of their keys, class by class.

    Every fold gets its share of every class to within one sample, and no order but that of the hashes matters.

    Args:
        samples: key and class name of each; keys distinct.
        folds: number of folds.

    Returns:
        The fold of each sample, in the order given.
    """
    order = sorted(range(len(samples)), key=lambda index: (samples[index][1], _hash(samples[index][0])))
    fold_of = [0] * len(samples)
    for turn, index in enumerate(order):
        fold_of[index] = turn % folds
    return fold_of


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"dsf-fold").digest()
