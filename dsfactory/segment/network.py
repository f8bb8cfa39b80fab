"""The segmentation network: a small UPerNet from scratch, one that comes with ImageNet's weights, or a checkpoint."""

from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForSemanticSegmentation,
    ResNetConfig,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)
from transformers.image_processing_base import ImageProcessingMixin

from dsfactory.core.seeds import derive_seed
from dsfactory.errors import UserError
from dsfactory.models.loading import quiet
from dsfactory.segment.config import BUNDLED, SegmentConfig

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, which nearly every vision checkpoint was trained with."""


class Segmenter(nn.Module):
    """A segmentation network, its output as transformers has it, that takes plain pixels.

    Args:
        network: its output has ``logits``.
        mean: of each channel, of pixels in [0, 1].
        std: their standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            pixels: uint8 ``(images, 3, height, width)``, RGB.

        Returns:
            float ``(images, labels, h, w)``, at the images' size or a fraction of it.
        """
        scaled = ((pixels / 255 - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(scaled).logits
        return logits


def build_segmenter(labels: int, config: SegmentConfig, seed: int) -> Segmenter:
    """The network before training.

    Args:
        labels: number of classes with background.
        config: names the checkpoint, if any.
        seed: of the weights that do not come from it.

    Raises:
        UserError: a checkpoint of the user's cannot be loaded, or cannot take images of the configured side.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "segmenter"))
        model = _make(labels, config)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on a CPU
    return model


def _make(labels: int, config: SegmentConfig) -> Segmenter:
    if config.checkpoint is None:
        return Segmenter(_small(labels))
    if config.checkpoint == BUNDLED:
        from dsfactory.segment import lite

        return Segmenter(lite.LiteSegmenter(labels), lite.MEAN, lite.STD)
    model = _load(config.checkpoint, labels)
    _check(model, labels, config)
    return model


def _small(labels: int) -> nn.Module:
    """UPerNet (Xiao et al. 2018) on a narrow ResNet (He et al. 2015), 1.4 million weights.

    Convolutions learn from some hundred small images in minutes on one core, a transformer does not: after 300 steps of
    16 rendered scenes this network had an mIoU of 0.32, a SegFormer of half the width of b0 0.12 (at 0.8 of the time).
    """
    widths = [32, 64, 128, 256]
    stages = [f"stage{number}" for number in range(1, len(widths) + 1)]
    shape: dict[str, Any] = {"depths": [1] * len(widths), "layer_type": "basic", "out_features": stages}
    backbone = ResNetConfig(embedding_size=widths[0], hidden_sizes=widths, **shape)
    head: dict[str, Any] = {"hidden_size": 32, "use_auxiliary_head": False, "num_labels": labels}
    return UperNetForSemanticSegmentation(UperNetConfig(backbone_config=backbone, **head))


def _load(checkpoint: str, labels: int) -> Segmenter:
    try:
        with quiet():
            network = AutoModelForSemanticSegmentation.from_pretrained(
                checkpoint,
                num_labels=labels,
                ignore_mismatched_sizes=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
            mean, std = _normalisation(checkpoint)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise UserError(f"segmenter {checkpoint} cannot be loaded: {first} ({BUNDLED} comes with dsfactory)") from error
    return Segmenter(network, mean, std)


def _normalisation(checkpoint: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the pixels that a checkpoint was trained with; ImageNet's if it says none."""
    try:
        settings: dict[str, Any] = ImageProcessingMixin.get_image_processor_dict(checkpoint)[0]
    except OSError:
        return MEAN, STD
    return tuple(settings.get("image_mean") or MEAN), tuple(settings.get("image_std") or STD)


@torch.no_grad()
def _check(model: Segmenter, labels: int, config: SegmentConfig) -> None:
    """Try a checkpoint on a black image."""
    side = config.side
    model.eval()
    try:
        shape = tuple(model(torch.zeros(1, 3, side, side, dtype=torch.uint8)).shape)
    except (AttributeError, RuntimeError, ValueError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise UserError(f"segmenter {config.checkpoint} cannot take images of {side}²: {first}") from error
    if len(shape) != 4 or shape[1] != labels:
        raise UserError(f"segmenter {config.checkpoint} gives logits of the shape {shape}: it is not one for this use")
