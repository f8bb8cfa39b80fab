"""Features of images: EfficientNet-Lite0, which comes with dsfactory, or an image model of the user's.

What a network learnt on ImageNet tells images apart by what they show. The features of EfficientNet-Lite0 are its maps
at 1/4 to 1/32 of the image, each averaged over the image.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.errors import UserError
from dsfactory.segment.config import BUNDLED

SIZE = 128
"""Side in pixels at which EfficientNet-Lite0 looks at an image."""

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]


class Embedder(Protocol):
    """Gives the features of an image."""

    def __call__(self, image: Pixels) -> Vector:
        """Float32 ``(features,)`` of an image, uint8 ``(height, width, 3)`` RGB."""


class Features:
    """Features of EfficientNet-Lite0 on the CPU, 496 of them. The network is loaded with the first image.

    One image at a time: in a batch, the last bits would depend on the images beside it.
    """

    def __call__(self, image: Pixels) -> Vector:
        """See :class:`Embedder`."""
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


class FolderFeatures:
    """Features of an image model of transformers, such as CLIP or DINOv2, on the CPU.

    Args:
        folder: with ``config.json``, ``preprocessor_config.json`` and safetensors weights.

    Raises:
        UserError: it cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from transformers import AutoImageProcessor, AutoModel

        try:
            processors: Any = AutoImageProcessor  # untyped
            self._processor = processors.from_pretrained(folder, use_fast=False)
            self._model = AutoModel.from_pretrained(folder, use_safetensors=True, trust_remote_code=False).eval()
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise UserError(f"the image model {folder} cannot be loaded: {str(error).splitlines()[0][:200]}") from error

    def __call__(self, image: Pixels) -> Vector:
        """See :class:`Embedder`."""
        import torch

        pixels = self._processor(image, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            part = getattr(self._model, "vision_model", self._model)  # CLIP has a text model beside it
            found = part(pixel_values=pixels)
        pooled = found.pooler_output if found.pooler_output is not None else found.last_hidden_state.mean(1)
        return np.asarray(pooled.flatten().float().numpy(), dtype=np.float32)


def embedder(name: str) -> Embedder:
    """The network with a name: :data:`BUNDLED`, or a folder.

    Raises:
        UserError: there is no such folder, or it cannot be loaded.
    """
    if name == BUNDLED:
        return Features()
    if not Path(name).is_dir():
        raise UserError(f"there is no image model {name}: use {BUNDLED}, or the folder of a CLIP or DINO model")
    return FolderFeatures(Path(name))
