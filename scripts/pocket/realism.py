"""What makes a decoded picture look like a rendered one: losses in the features of a network that knows ImageNet.

`reconstruction_loss` alone teaches a decoder to blur what it is not sure of: eyes, outlines, grain. What learns from
blurred pictures does not know sharp ones. Two more losses, both in features of EfficientNet-Lite0, which itself
stays as it is:

- perceptual: features of the decoded picture and of the rendered one are alike, place by place (Johnson et al. 2016,
  arXiv 1603.08155).
- adversarial: small critics on each level of features tell decoded from rendered pictures (projected GAN, Sauer et al.
  2021, arXiv 2111.01007, section 3), with the hinge loss. Standing on trained features, they
  learn in some hundred steps.
"""

from collections.abc import Sequence

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from dsfactory.segment.lite import WEIGHTS, LiteBackbone

STAGES = (0, 1, 2, 4)
"""Stages of the backbone whose features are compared, at 1/2, 1/4, 1/8 and 1/16 of the picture."""
CHANNELS = (16, 24, 40, 112)
CRITIC_WIDTH = 64


class Features(nn.Module):
    """The backbone's features of pictures [B, 3, H, W] in -1…1: maps [B, 16, H/2, W/2] to [B, 112, H/16, W/16]."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = LiteBackbone()
        self.backbone.load_state_dict(load_file(WEIGHTS))
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x, maps = self.backbone.stem(pictures), []
        for number, stage in enumerate(self.backbone.stages[: STAGES[-1] + 1]):
            x = stage(x)
            if number in STAGES:
                maps.append(x)
        return maps


def perceptual_loss(decoded: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Mean over the levels of L1, each relative to the target's mean magnitude."""
    return torch.stack(
        [(a - b).abs().mean() / b.abs().mean() for a, b in zip(decoded, target, strict=True)]
    ).mean()  # fmt: skip


class Critics(nn.ModuleList):
    """One small critic for each level of features: maps [B, C, h, w] → scores [B, 1, h, w], high for rendered ones."""

    def __init__(self) -> None:
        super().__init__(
            nn.Sequential(
                spectral_norm(nn.Conv2d(channels, CRITIC_WIDTH, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(CRITIC_WIDTH, CRITIC_WIDTH, 3, padding=1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(CRITIC_WIDTH, 1, 1),
            )
            for channels in CHANNELS
        )

    def loss(self, rendered: Sequence[Tensor], decoded: Sequence[Sequence[Tensor]]) -> Tensor:
        """Hinge loss of telling the features of rendered pictures from those of several sets of decoded ones."""
        total = torch.zeros(())
        for level, critic in enumerate(self):
            wrong = [F.relu(1 + critic(maps[level].detach())).mean() for maps in decoded]
            total = total + F.relu(1 - critic(rendered[level])).mean() + torch.stack(wrong).mean()
        return total / len(self)

    def realism(self, decoded: Sequence[Sequence[Tensor]]) -> Tensor:
        """Mean score of several sets of decoded pictures, for the decoder to raise."""
        scores = [critic(maps[level]).mean() for maps in decoded for level, critic in enumerate(self)]
        return torch.stack(scores).mean()
