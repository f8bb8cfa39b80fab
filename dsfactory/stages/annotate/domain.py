"""How far a picture lies from what a small model learnt to draw: on others it makes confident nonsense.

The features are those of EfficientNet-Lite0, which comes with dsfactory, each averaged over the picture; the distance
is Mahalanobis' in the space of their first principal components, what lies beside these counting by its mean variance
(Lee et al. 2018, arXiv 1807.03888, section 2.1; Tipping and Bishop 1999). `research/annotate_domain.py` makes the
reference of a model from what it learnt from, and chooses the distance from which a picture is foreign.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from dsfactory.models.presets import PRESETS

SIZE = 128
"""Side in pixels at which a picture is looked at: what the pocket model draws."""


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


class Features:
    """Features of pictures, on the CPU. The network is loaded with the first one."""

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Float32 ``(features,)`` of an image, uint8 ``(height, width, 3)`` RGB."""
        import torch

        from dsfactory.segment.lite import MEAN, STD

        small = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        pixels = (small.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        with torch.inference_mode():
            maps = self._network(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        return np.concatenate([one.mean((2, 3))[0].numpy() for one in maps])

    @cached_property
    def _network(self) -> Any:
        from safetensors.torch import load_file as load_tensors

        from dsfactory.segment.lite import WEIGHTS, LiteBackbone

        network = LiteBackbone()
        network.load_state_dict(load_tensors(WEIGHTS))
        return network.eval()
