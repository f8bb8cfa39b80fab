"""A judge of images: a CLIP model that says which of several words fits an image best."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dsfactory.errors import UserError
from dsfactory.models.devices import choose_device
from dsfactory.models.fetch import fetch
from dsfactory.models.loading import quiet
from dsfactory.models.locate import cached_file
from dsfactory.models.names import hub_page

_FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "vocab.json", "merges.txt",
          "tokenizer_config.json", "special_tokens_map.json")  # fmt: skip
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the images that CLIP models were trained on."""


class Judge:
    """A CLIP checkpoint (Radford et al. 2021, arXiv 2103.00020).

    Args:
        name: a folder, or a hub id, with ``model.safetensors`` in it.
        device: where it runs.

    Raises:
        UserError: it is not there, or no CLIP model.
    """

    def __init__(self, name: str, device: str) -> None:
        from transformers import CLIPModel, CLIPTokenizer

        folder = _folder(name)
        self._device = choose_device(device)
        try:
            kind = json.loads((folder / "config.json").read_bytes()).get("model_type")
            if kind != "clip":
                raise UserError(
                    f"--judge {name} is a {kind} model: give a CLIP one, such as openai/clip-vit-base-patch32"
                )
            with quiet():
                model: Any = CLIPModel.from_pretrained(str(folder), use_safetensors=True, local_files_only=True)
                self._tokenizer: Any = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"--judge {name} cannot be loaded: {str(error).strip().splitlines()[0][:200]}") from error
        self._model = model.to(self._device).eval()

    @torch.no_grad()
    def best(self, image: NDArray[np.uint8], texts: Sequence[str]) -> int:
        """Which text fits an image best.

        Args:
            image: uint8 RGB ``(height, width, 3)``.
            texts: at least one.
        """
        side = self._model.config.vision_config.image_size
        height, width = image.shape[:2]
        scale = side / min(height, width)
        size = max(side, round(width * scale)), max(side, round(height * scale))
        scaled = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        pixels = np.asarray(scaled.crop((left, top, left + side, top + side)), np.float32) / 255
        tensor = (torch.from_numpy(pixels) - torch.tensor(_MEAN)) / torch.tensor(_STD)
        words = self._tokenizer([*texts], padding=True, truncation=True, return_tensors="pt").to(self._device)
        found = self._model(pixel_values=tensor.permute(2, 0, 1)[None].to(self._device), **words)
        return int(found.logits_per_image[0].argmax())


def _folder(name: str) -> Path:
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        return path
    page = hub_page(name)
    if page is None:
        raise UserError(f"--judge {name} is not there: give the folder or the hub id of a CLIP model")
    weights = cached_file(page[0], "model.safetensors", page[1])
    return weights.parent if weights is not None else fetch(name, page[0], page[1], _FILES)
