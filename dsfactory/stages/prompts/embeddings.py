"""Embeddings of captions, a batch at a time: said how far it is, and kept in the user's cache where they took long."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsfactory.core.stage import Reporter
from dsfactory.stages.prompts.retrieve import BATCH, Embedder
from dsfactory.storage.atomic import write_atomic

SHOWN_S = 3.0
"""What takes less is not shown."""

KEPT_S = 1.0
"""A batch that takes less is not kept."""

MOST_FILES = 2000
"""Batches that are kept in all, of all models and corpora: 400 MB where a vector has 768 numbers."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where embeddings are kept: beside what the hub's libraries keep."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "dsfactory" / "embeddings"


class Embeddings:
    """An embedder that loads its text encoder only for batches that are not in the cache.

    A batch is kept whole, with the encoder, the corpus and its texts as its name: so what is read is to the bit what
    would be computed, however many captions are asked for.

    Args:
        load: loads the text encoder.
        identity: what identifies encoder and corpus, as JSON values.
        total: how many texts there will be.
        report: told how far it is, once it has taken :data:`SHOWN_S`.
    """

    def __init__(
        self, load: Callable[[], Embedder], identity: Mapping[str, Any], total: int, report: Reporter | None
    ) -> None:
        self._load, self._identity, self._total, self._report = load, identity, total, report
        self._embed: Embedder | None = None
        self._done, self._start, self._shown = 0, time.monotonic(), False

    def __call__(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Texts to float32 ``[N, D]`` rows of unit norm; see :data:`~dsfactory.stages.prompts.retrieve.Embedder`."""
        parts = [self._batch(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return np.concatenate(parts)

    def _batch(self, texts: list[str]) -> npt.NDArray[np.float32]:
        name = hashlib.sha256(json.dumps([self._identity, texts], sort_keys=True).encode()).hexdigest()
        path = cache_folder() / f"{name[:40]}.npy"
        vectors = _read(path, len(texts))
        if vectors is None:
            self._embed = self._embed or self._load()
            start = time.monotonic()
            vectors = self._embed(texts)
            if time.monotonic() - start >= KEPT_S:
                _keep(path, vectors)
        self._done += len(texts)
        if self._report is not None and time.monotonic() - self._start >= SHOWN_S:
            if not self._shown:
                self._report("captions", 0, self._total)
            self._shown = True
            self._report("captions", self._done, self._total)
        return vectors


def _read(path: Path, count: int) -> npt.NDArray[np.float32] | None:
    """A kept batch; None when there is none, or it is damaged."""
    try:
        vectors: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        os.utime(path)  # those not used for longest go first
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == count else None


def _keep(path: Path, vectors: npt.NDArray[np.float32]) -> None:
    """Keep a batch, and no more than :data:`MOST_FILES`. A cache that cannot be written costs time only."""
    import io

    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
        files = sorted(path.parent.glob("*.npy"), key=lambda file: file.stat().st_mtime)
        for old in files[:-MOST_FILES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        _log.info("embeddings are not kept: %s", error)
