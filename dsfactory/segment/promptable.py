"""A promptable segmenter: told where an object is, it says where the object ends.

SAM (Kirillov et al. 2023, arXiv 2304.02643), SAM 2 (Ravi et al. 2024, arXiv 2408.00714) and the tracker of SAM 3, as
transformers has them. Their processors need torchvision; what these do to an image is a few lines and stands here.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from dsfactory.errors import UserError
from dsfactory.models.component import CONFIG, find_component, is_component, locate_component
from dsfactory.models.loading import quiet
from dsfactory.segment.network import MEAN, STD
from dsfactory.segment.prompts import Prompt

CLASSES = {
    "sam": "SamModel",
    "sam2": "Sam2Model",
    "sam2_video": "Sam2Model",
    "sam3": "Sam3TrackerModel",
    "sam3_video": "Sam3TrackerModel",
    "sam3_tracker": "Sam3TrackerModel",
}
"""``model_type`` of a checkpoint's ``config.json`` to the class of transformers that reads it."""

WEIGHTS = "model.safetensors"

NO_POINT = -10
"""Label of a point that only fills up the list."""

Mask = NDArray[np.bool_]


class Promptable:
    """A promptable segmenter on a device.

    Args:
        folder: with ``config.json`` and safetensors.
        device: to run on.

    Raises:
        UserError: it cannot be loaded, or is another kind of model.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        import transformers

        kind = _kind_of(folder)
        try:
            with quiet():
                model: Any = getattr(transformers, CLASSES[kind]).from_pretrained(
                    str(folder), use_safetensors=True, trust_remote_code=False, local_files_only=True
                )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            first = str(error).strip().split("\n")[0][:200]
            raise UserError(f"the promptable segmenter {folder} cannot be loaded: {first}") from error
        self._model = model.to(device).eval()
        self._device = device
        self._keeps_aspect = kind == "sam"
        self._side = int(model.config.prompt_encoder_config.image_size)
        half = kind.startswith("sam3")
        self._mean = torch.tensor((0.5, 0.5, 0.5) if half else MEAN).view(3, 1, 1)
        self._std = torch.tensor((0.5, 0.5, 0.5) if half else STD).view(3, 1, 1)

    @torch.no_grad()
    def masks(self, image: NDArray[np.uint8], prompts: Sequence[Prompt]) -> list[tuple[Mask, float]]:
        """The mask of each prompted object; the image is encoded once.

        Args:
            image: uint8 RGB, shape ``(height, width, 3)``.
            prompts: at least one.

        Returns:
            Per prompt a bool array of shape ``(height, width)`` and the IoU that the model expects of it, in [0, 1].
        """
        height, width = image.shape[:2]
        scale = self._scale(height, width)
        points, labels = _padded(prompts)
        factor = torch.tensor(scale)
        found = self._model(
            pixel_values=self._pixels(image, scale)[None].to(self._device, self._model.dtype),
            input_points=(points * factor)[None].to(self._device, self._model.dtype),
            input_labels=labels[None].to(self._device),
            input_boxes=(torch.tensor([prompt.box for prompt in prompts]) * factor.repeat(2))[None].to(
                self._device, self._model.dtype
            ),
            multimask_output=False,
        )
        masks = self._full_size(found.pred_masks[0].float(), height, width)[:, 0] > 0
        scores = found.iou_scores[0, :, 0].float().clamp(0, 1)
        return list(zip(masks.cpu().numpy(), scores.tolist(), strict=True))

    def _scale(self, height: int, width: int) -> tuple[float, float]:
        """Of x and y from the image to what the model sees."""
        if self._keeps_aspect:
            one = self._side / max(height, width)
            return one, one
        return self._side / width, self._side / height

    def _pixels(self, image: NDArray[np.uint8], scale: tuple[float, float]) -> Tensor:
        """Float ``(3, side, side)``; what is left of a longer side is 0."""
        size = tuple(max(1, round(length * by)) for length, by in zip(image.shape[1::-1], scale, strict=True))
        resized = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        pixels = (torch.from_numpy(resized.copy()).permute(2, 0, 1) / 255 - self._mean) / self._std
        return functional.pad(pixels, (0, self._side - pixels.shape[2], 0, self._side - pixels.shape[1]))

    def _full_size(self, logits: Tensor, height: int, width: int) -> Tensor:
        """Logits at the image's size, ``(objects, 1, height, width)``."""
        if self._keeps_aspect:
            logits = functional.interpolate(logits, (self._side, self._side), mode="bilinear")
            by = self._side / max(height, width)
            logits = logits[..., : max(1, round(height * by)), : max(1, round(width * by))]
        return functional.interpolate(logits, (height, width), mode="bilinear")


def find_promptable(name: str) -> Path | None:
    """See :func:`dsfactory.models.component.find_component`."""
    return find_component(name, WEIGHTS)


def locate_promptable(name: str) -> Path:
    """See :func:`dsfactory.models.component.locate_component`.

    Raises:
        UserError: see there; or it is no promptable segmenter.
    """
    folder = locate_component(name, WEIGHTS)
    _kind_of(folder)
    return folder


def _kind_of(folder: Path) -> str:
    """``model_type`` of a checkpoint.

    Raises:
        UserError: it is not there, or not a promptable segmenter.
    """
    path = folder / CONFIG
    if not is_component(folder):
        raise UserError(f"{folder} is not the folder of a promptable segmenter: it has config.json and a .safetensors")
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not the configuration of a model") from error
    if kind not in CLASSES:
        raise UserError(f"{folder} holds a {str(kind)[:40]!r} model: a promptable segmenter is {', '.join(CLASSES)}")
    return str(kind)


def _padded(prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
    """Points float ``(objects, most, 2)`` and their labels: 1 inside, 0 outside, -10 where a list is shorter."""
    most = max(len(prompt.inside) + len(prompt.outside) for prompt in prompts)
    points = torch.zeros(len(prompts), most, 2)
    labels = torch.full((len(prompts), most), NO_POINT, dtype=torch.int64)
    for number, prompt in enumerate(prompts):
        both = [*prompt.inside, *prompt.outside]
        points[number, : len(both)] = torch.tensor(both)
        labels[number, : len(both)] = torch.tensor([1] * len(prompt.inside) + [0] * len(prompt.outside))
    return points, labels
