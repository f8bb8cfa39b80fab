"""EfficientNet-Lite0 with weights from ImageNet, and a segmentation head on it.

What a network has seen before decides how well it knows a thing in a style that its labels do not show. The weights
come with dsfactory (`efficientnet-lite0.safetensors`, 3.0 million), so that nothing need be downloaded.

The network is that of Tan and Le (2019, arXiv 1905.11946) without squeeze-and-excitation and with ReLU6, as Google
published it in 2020 (github.com/tensorflow/tpu, models/official/efficientnet/lite, Apache License 2.0).
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import UperNetConfig
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.models.upernet.modeling_upernet import UperNetHead

WEIGHTS = Path(__file__).with_name("efficientnet-lite0.safetensors")
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Of the pixels that the weights were trained with."""

STEM = 32
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
"""Blocks, kernel, stride of the first block, expansion, channels."""
FEATURES = (24, 40, 112, 320)
"""Channels of what the head reads, at 1/4, 1/8, 1/16 and 1/32 of the image."""
HEAD = 64


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does it: by the odd pixel more at the right and at the bottom."""

    def forward(self, input: Tensor) -> Tensor:
        padding: list[int] = []
        for length, kernel, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max(0, (-(-length // stride) - 1) * stride + kernel - length)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(input, padding) if any(padding) else input)


def _layer(channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True) -> nn.Module:
    parts = [
        SameConv(channels, out, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=1e-3, momentum=0.01),
        nn.ReLU6(inplace=True),
    ]
    return nn.Sequential(*parts if relu else parts[:2])


class Block(nn.Module):
    """An inverted residual (Sandler et al. 2018, arXiv 1801.04381, section 3.3)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        layers = [_layer(channels, wide)] if expansion > 1 else []
        layers += [_layer(wide, wide, kernel, stride, groups=wide), _layer(wide, out, relu=False)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class LiteBackbone(nn.Module):
    """EfficientNet-Lite0 up to its last block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _layer(3, STEM, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        channels = STEM
        for blocks, kernel, stride, expansion, out in STAGES:
            steps = [(channels, stride), *[(out, 1)] * (blocks - 1)]
            self.stages.append(nn.Sequential(*(Block(before, out, kernel, by, expansion) for before, by in steps)))
            channels = out

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The maps of :data:`FEATURES`.

        Args:
            pixels: float ``(images, 3, height, width)``, scaled by :data:`MEAN` and :data:`STD`.

        Returns:
            Float, from ``(images, 24, ⌈height / 4⌉, ⌈width / 4⌉)`` to ``(images, 320, ⌈height / 32⌉, ⌈width / 32⌉)``.
        """
        x, maps = self.stem(pixels), []
        for stage, (*_, out) in zip(self.stages, STAGES, strict=True):
            x = stage(x)
            if out in FEATURES:
                maps.append(x)
        return maps


class LiteSegmenter(nn.Module):
    """The backbone with its weights, and the head of UPerNet (Xiao et al. 2018, arXiv 1807.10221) with new ones.

    Args:
        labels: number of classes with background.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.backbone = LiteBackbone()
        self.backbone.load_state_dict(load_file(WEIGHTS))
        shape: dict[str, Any] = {"hidden_size": HEAD, "num_labels": labels, "use_auxiliary_head": False}
        self.head = UperNetHead(UperNetConfig(**shape), list(FEATURES))  # type: ignore[no-untyped-call]

    def forward(self, pixels: Tensor) -> SemanticSegmenterOutput:
        """Float ``(images, 3, height, width)`` → logits ``(images, labels, ⌈height / 4⌉, ⌈width / 4⌉)``."""
        logits: torch.FloatTensor = self.head(self.backbone(pixels))
        return SemanticSegmenterOutput(logits=logits)
