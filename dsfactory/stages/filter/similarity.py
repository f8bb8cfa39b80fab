"""Image–text similarity by a CLIP model of the user's.

A Stable Diffusion pipeline cannot give it: its CLIP text encoder comes without the image tower. So it is asked for by
name (``filter.clip``); without one, the judging network's evidence says whether an image shows its class at all.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.errors import UserError
from dsfactory.segment.data import Image

TEMPLATE = "a photo of a {}"
OTHER = "a photo"
"""What the classes are compared with beside each other, so that a run of one class has a comparison too."""


class ClipJudge:
    """Probability that an image shows each class rather than the other classes or something else.

    Zero-shot classification as in Radford et al. 2021 (CLIP), section 3.1.

    Args:
        checkpoint: a CLIP checkpoint of transformers, a folder or a hub id, with safetensors weights.
        classes: the run's class names.
        device: to run on.

    Raises:
        UserError: the checkpoint cannot be loaded.
    """

    def __init__(self, checkpoint: str, classes: Sequence[str], device: torch.device) -> None:
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

        try:
            model: torch.nn.Module = CLIPModel.from_pretrained(checkpoint, use_safetensors=True)
            self._processor = AutoImageProcessor.from_pretrained(checkpoint)  # type: ignore[no-untyped-call]
            tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        except (OSError, ValueError) as error:
            raise UserError(f"the CLIP model {checkpoint} cannot be loaded: {str(error).splitlines()[0]}") from error
        self._model = model.to(device).eval()
        texts = [*(TEMPLATE.format(name) for name in classes), OTHER]
        self._tokens = tokenizer(texts, padding=True, return_tensors="pt").to(device)
        self._device = device

    @torch.no_grad()
    def probabilities(self, images: Sequence[Image]) -> Iterator[NDArray[np.float32]]:
        """For each uint8 RGB image, float32 ``(classes,)``: softmax of the scaled cosine similarities."""
        pixels = self._processor(list(images), return_tensors="pt")["pixel_values"].to(self._device)
        for row in self._model(**self._tokens, pixel_values=pixels).logits_per_image.softmax(dim=-1):
            yield row[:-1].float().cpu().numpy()
