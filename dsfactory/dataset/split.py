"""Train or validation: which side of a dataset a sample is on."""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from dsfactory.core.chain import Input
from dsfactory.core.run import Run

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val")
"""Those of a dataset without a test share."""

SPLIT, ROOT, ORIGIN = "split", "root", "origin"
"""Columns of a source whose images were samples of somewhere else: the side that they were on there (empty where nobody
said), the key whose hash decides otherwise (empty for the sample's own), and whether they are real or synthetic."""

REAL, SYNTHETIC = "real", "synthetic"
"""Values of ORIGIN."""

SPLIT, ROOT, ORIGIN = "split", "root", "origin"
"""Columns of a source whose images were samples of somewhere else: the side that they were on there (empty where nobody
said), the key whose hash decides otherwise (empty for the sample's own), and whether they are real or synthetic."""

REAL, SYNTHETIC = "real", "synthetic"
"""Values of ORIGIN."""


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


def side_of(row: Mapping[str, Any], val_share: float, test_share: float = 0.0) -> Split:
    """The split of a sample by its row: the one that it had where it came from, else that of its root's key."""
    said = row.get(SPLIT)
    return said if said in SPLITS else split_of(row.get(ROOT) or row["key"], val_share, test_share)


class Sides:
    """The split of each sample of a run, by key.

    Args:
        run: the run.
        images: the stage that made its images.
        val_share: share of the samples that goes to validation.
        test_share: share of the samples that goes to the test split.
    """

    def __init__(self, run: Run, images: Input, val_share: float, test_share: float = 0.0) -> None:
        self._shares = val_share, test_share
        self._said: dict[str, Split] = {}
        if SPLIT in images.kind.writes.schema.names:
            for spec in run.finished(images.kind.folder):
                rows = run.reader(images.kind.folder, spec).rows
                self._said |= {row["key"]: side_of(row, *self._shares) for row in rows}

    def __call__(self, key: str) -> Split:
        return self._said.get(key) or split_of(key, *self._shares)
