"""How far a picture lies from what a small model learnt to draw: on others it makes confident nonsense.

The features are :class:`dsfactory.embed.network.Features`; the distance
is Mahalanobis' in the space of their first principal components, what lies beside these counting by its mean variance
(Lee et al. 2018, arXiv 1807.03888, section 2.1; Tipping and Bishop 1999). `research/annotate_domain.py` makes the
reference of a model from what it learnt from, and chooses the distance from which a picture is foreign.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from dsfactory.models.presets import PRESETS


@dataclass(frozen=True)
class Reference:
    """What the pictures of a model look like.

    Attributes:
        mean: float32 ``(features,)``.
        axes: float32 ``(components, features)``: principal components, each of length 1.
        scale: float32 ``(components,)``: standard deviation along each.
        rest: standard deviation of what lies beside them, per feature.
        limit: the distance from which a picture is foreign.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    scale: NDArray[np.float32]
    rest: float
    limit: float

    @classmethod
    def of(cls, features: NDArray[np.float32], components: int) -> Self:
        """The reference of features ``(pictures, features)``, its limit still at 1."""
        mean = features.mean(axis=0)
        _, values, axes = np.linalg.svd(features - mean, full_matrices=False)
        deviations = values / np.sqrt(len(features) - 1)
        beside = features.shape[1] - components
        rest = float(np.sqrt(np.square(deviations[components:]).sum() / beside))
        return cls(mean, axes[:components], deviations[:components], rest, 1.0)

    @classmethod
    def read(cls, model: str) -> Self | None:
        """That of a model that comes with dsfactory; None for one that has none, because it knows the world."""
        path = Path(__file__).parent / f"domain-{model}.safetensors"
        if model not in PRESETS or not path.is_file():
            return None
        found = load_file(path)
        axes = found["axes"].astype(np.float32)
        return cls(found["mean"], axes, found["scale"], float(found["rest"][0]), float(found["limit"][0]))

    def distance(self, features: NDArray[np.float32]) -> float:
        """Of a picture's features ``(features,)``, as a share of the limit: above 1 it is foreign."""
        off = features - self.mean
        along = self.axes @ off
        beside = max(0.0, float(off @ off - along @ along))
        return float(np.sqrt(np.square(along / self.scale).sum() + beside / self.rest**2)) / self.limit
