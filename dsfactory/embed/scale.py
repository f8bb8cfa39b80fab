"""One scale for features, so that none counts more than others."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Scale:
    """Takes vectors to where each feature has mean 0 and deviation 1 over a set, and each vector the length 1.

    Args:
        vectors: float32 ``(vectors, features)``: the set.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._mean = vectors.mean(axis=0)
        deviation = vectors.std(axis=0)
        self._factor = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)

    def __call__(self, vectors: Vectors) -> Vectors:
        scaled = (vectors - self._mean) * self._factor
        lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
        return np.asarray(scaled / np.maximum(lengths, 1e-9), dtype=np.float32)
