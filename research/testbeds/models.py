"""The two test beds: a UNet as Stable Diffusion's, and a joint-attention transformer as Stable Diffusion 3's.

Both read 8 × 16 × 16 latents of the pocket's coder and token states without layers: a token says its own word, so what
attention finds comes from the image model alone. No loss here knows where anything is.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import DDPMScheduler, SD3Transformer2DModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from scripts.pocket.text import build_text_encoder
from scripts.pocket.train_unet import NOISE_SCHEDULE, snr_weights

Kind = Literal["unet", "joint"]
CHANNELS, SIDE = 8, 16
TEXT_WIDTH = 128
TOKENS = {"unet": 77, "joint": 40}
"""Tokens of a caption that each reads; the transformer's own time grows with them."""


def build_image_model(kind: Kind) -> nn.Module:
    """An untrained image model."""
    if kind == "unet":
        return UNet2DConditionModel(
            sample_size=SIDE,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            mid_block_type="UNetMidBlock2DCrossAttn",
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(64, 128, 192),
            layers_per_block=1,
            attention_head_dim=4,  # diffusers means the number of heads
            cross_attention_dim=TEXT_WIDTH,
        )
    return SD3Transformer2DModel(
        sample_size=SIDE,
        patch_size=1,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        num_layers=6,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=TEXT_WIDTH,
        caption_projection_dim=128,
        pooled_projection_dim=16,
        pos_embed_max_size=SIDE,
        qk_norm="rms_norm",
    )


@dataclass
class Bed:
    """A test bed.

    Attributes:
        kind: which of the two.
        image_model: predicts velocity from noisy latents, a time and token states.
        text_encoder: token ids ``(B, tokens)`` to states ``(B, tokens, 128)``.
        tokenizer: of the captions.
        scale: what latents are multiplied by.
        schedule: of the UNet's noise.
    """

    kind: Kind
    image_model: nn.Module
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scale: float
    schedule: Any

    @classmethod
    def new(cls, kind: Kind, tokenizer: CLIPTokenizer, scale: float, device: torch.device) -> "Bed":
        """An untrained one; the same weights every time."""
        torch.manual_seed(0)
        text_encoder = build_text_encoder(tokenizer, TEXT_WIDTH, 0).to(device)
        schedule = DDPMScheduler(**NOISE_SCHEDULE)
        schedule.alphas_cumprod = schedule.alphas_cumprod.to(device)
        return cls(kind, build_image_model(kind).to(device), text_encoder, tokenizer, scale, schedule)

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {"image_model": self.image_model, "text_encoder": self.text_encoder}

    def ids(self, texts: list[str]) -> Tensor:
        """Token ids, int64 ``(B, tokens)``."""
        found = self.tokenizer(
            texts, padding="max_length", max_length=TOKENS[self.kind], truncation=True, return_tensors="pt"
        )
        return found.input_ids

    def noised(self, clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents and what should be predicted of them.

        Args:
            clean: latents ``(B, 8, 16, 16)``, scaled.
            noise: as many.
            times: ``(B,)`` from 0 to 1: how much noise.
        """
        if self.kind == "joint":  # rectified flow (Esser et al. 2024, arXiv 2403.03206, section 2)
            share = times[:, None, None, None]
            return (1 - share) * clean + share * noise, noise - clean
        steps = (times * 999).long()
        return self.schedule.add_noise(clean, noise, steps), self.schedule.get_velocity(clean, noise, steps)

    def predict(self, noisy: Tensor, times: Tensor, states: Tensor) -> Tensor:
        """The velocity; arguments as of :meth:`noised`."""
        if self.kind == "joint":
            pooled = torch.zeros(len(noisy), 16, device=noisy.device)
            return self.image_model(noisy, states, pooled, times * 1000, return_dict=False)[0]
        return self.image_model(noisy, (times * 999).long(), states, return_dict=False)[0]

    def loss_weights(self, times: Tensor) -> Tensor:
        """Weight of each image's squared error: min-SNR for the UNet, 1 for the flow."""
        if self.kind == "joint":
            return torch.ones_like(times)
        return snr_weights(self.schedule.alphas_cumprod)[(times * 999).long()]

    @torch.no_grad()
    def draw(self, texts: list[str], seed: int, steps: int = 30, guidance: float = 4.0) -> Tensor:
        """Latents of captions, scaled; Euler steps (flow) or DDIM (UNet) with classifier-free guidance."""
        device = next(self.image_model.parameters()).device
        states = self.text_encoder(self.ids(texts + [""] * len(texts)).to(device)).last_hidden_state
        noise = torch.randn(len(texts), CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
        latents = noise.to(device)
        moments = torch.linspace(1, 0, steps + 1)
        for now, then in pairwise(moments):
            times = now.expand(2 * len(texts)).to(device)
            named, plain = self.predict(torch.cat([latents, latents]), times, states).chunk(2)
            velocity = plain + guidance * (named - plain)
            latents = self._step(latents, velocity, float(now), float(then))
        return latents

    def _step(self, latents: Tensor, velocity: Tensor, now: float, then: float) -> Tensor:
        if self.kind == "joint":
            return latents + (then - now) * velocity
        signal, next_signal = (self.schedule.alphas_cumprod[int(time * 999)] for time in (now, then))
        clean = signal.sqrt() * latents - (1 - signal).sqrt() * velocity
        noise = (1 - signal).sqrt() * latents + signal.sqrt() * velocity
        return next_signal.sqrt() * clean + (1 - next_signal).sqrt() * noise

    def save(self, folder: Path) -> None:
        """Write it as safetensors of 16 bits, with its tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, module in self.modules.items():
            state = {key: value.half().cpu().contiguous() for key, value in module.state_dict().items()
                     if value.is_floating_point()}  # fmt: skip
            save_file(state, folder / f"{name}.safetensors")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        (folder / "bed.json").write_text(json.dumps({"kind": self.kind, "scale": self.scale}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "Bed":
        """Read one that :meth:`save` wrote."""
        facts = json.loads((folder / "bed.json").read_text(encoding="utf-8"))
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        bed = cls.new(facts["kind"], tokenizer, facts["scale"], device)
        for name, module in bed.modules.items():
            state = {key: value.float() for key, value in load_file(folder / f"{name}.safetensors").items()}
            lost = module.load_state_dict(state, strict=False)
            assert not lost.unexpected_keys and all("position_ids" in key for key in lost.missing_keys), lost
            module.eval()
        return bed
