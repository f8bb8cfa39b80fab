"""Teaching attention where things are: a loss on the cross-attention of class words against the scenes' exact masks.

Stable Diffusion's attention finds things because it saw billions of captions. A model that sees some hundred thousand
small scenes draws recognisably only long after that, and its words would wander meanwhile. The scenes are rendered, so
their masks are known without anybody labelling, and a loss on the attention maps makes up for the missing scale, as
TokenCompose does for large models (Wang et al. 2024, arXiv 2312.03626, section 3.2: token-level loss). Here the map is
stretched to [0, 1] before it meets the mask, as the refine stage stretches it, so a word need not own a whole pixel.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch.nn import functional
from transformers import CLIPTokenizer

from dsfactory.stages.generate.probabilities import token_probabilities
from dsfactory.stages.generate.tokens import class_tokens
from dsfactory.stages.prompts.vocabulary import find_mentions
from scripts.pocket.captions import class_specs
from scripts.pocket.text import MAX_TOKENS

MAX_CLASSES = 3
GRID = 16
MIN_SIDE = 8  # coarser layers cannot hold a shape


def token_weights(tokenizer: CLIPTokenizer, rows: Path) -> torch.Tensor:
    """Per scene of `rows.jsonl`, each class's weights over the caption's tokens: float32 [N, 77, 3]; a class that the
    caption does not name within 77 tokens has zeros."""
    lines = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    weights = torch.zeros(len(lines), MAX_TOKENS, MAX_CLASSES)
    for number, row in enumerate(lines):
        mentions = find_mentions(row["caption"], class_specs(tuple(row["classes"])))
        for k, tokens in enumerate(class_tokens(tokenizer, row["caption"], mentions)):
            weights[number, tokens, k] = 1 / max(len(tokens), 1)
    return weights


def mask_grids(labels: np.ndarray) -> torch.Tensor:
    """Share of each cell of a 16² grid that belongs to each class: labels uint8 [N, H, W] → float32 [N, 256, 3]."""
    parts = []
    for start in range(0, len(labels), 256):
        pixels = torch.from_numpy(np.array(labels[start : start + 256]))
        masks = torch.stack([(pixels == k + 1).float() for k in range(MAX_CLASSES)], dim=1)
        parts.append(functional.adaptive_avg_pool2d(masks, GRID).flatten(2).transpose(1, 2))
    return torch.cat(parts)


class GroundingLoss:
    """Reads a UNet's cross-attention in training and compares it with masks.

    Use: put `weights` in place, call the UNet, call `loss`. Hooks on the projections; nothing in the UNet changes.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self.weights = torch.empty(0)
        self._kept: dict[str, torch.Tensor] = {}
        self._maps: dict[int, list[torch.Tensor]] = {}
        for name, module in unet.named_modules():
            if name.endswith(".attn2"):
                module.to_q.register_forward_hook(partial(self._keep, "query"))
                module.to_k.register_forward_hook(partial(self._keep, "key"))
                module.register_forward_hook(self._read)

    def _keep(self, part: str, module: torch.nn.Module, args: Any, output: torch.Tensor) -> None:
        self._kept[part] = output

    def _read(self, module: Any, args: Any, output: torch.Tensor) -> None:
        query, key = self._kept.pop("query"), self._kept.pop("key")
        if query.shape[1] >= MIN_SIDE**2:
            with torch.autocast(query.device.type, enabled=False):  # small probabilities vanish in bfloat16
                maps = token_probabilities(query.float(), key.float(), self.weights, module.heads, module.scale)
            self._maps.setdefault(query.shape[1], []).append(maps)

    def loss(self, masks: torch.Tensor) -> torch.Tensor:
        """Dice plus half the cross-entropy of the stretched mean map of each grid against the masks, per image [B].

        Args:
            masks: float32 [B, 256, 3] of `mask_grids`.
        """
        named = (self.weights.sum(1) > 0) & (masks.sum(1) > 0)  # [B, 3]
        total = torch.zeros(len(masks), device=masks.device)
        for positions, maps in self._maps.items():
            side = round(positions**0.5)
            truth = masks.transpose(1, 2).unflatten(2, (GRID, GRID))
            truth = functional.adaptive_avg_pool2d(truth, side).flatten(2)  # [B, 3, positions]
            mean = torch.stack(maps).mean(0).transpose(1, 2)
            low, high = mean.amin(2, keepdim=True), mean.amax(2, keepdim=True)
            found = (mean - low) / (high - low + 1e-6)
            dice = 1 - (2 * (found * truth).sum(2) + 1) / (found.square().sum(2) + truth.square().sum(2) + 1)
            entropy = functional.binary_cross_entropy(found.clamp(0.01, 0.99), truth, reduction="none").mean(2)
            total = total + ((dice + 0.5 * entropy) * named).sum(1) / named.sum(1).clamp(min=1)
        self._maps.clear()
        return total / 2
