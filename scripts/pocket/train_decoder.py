"""Make the pocket model's pictures crisp: train the decoder of a packaged model further, encoder and UNet stay.

    python -m scripts.pocket.train_decoder --model build/pocket-model --work DIR --out build/pocket-model

`train_vae` leaves a decoder that blurs what it is not sure of, and a network that learns from blurred pictures does not
know sharp ones. This adds the losses of `realism.py`, on scenes of the work folder and on latents that the model has
drawn from their captions (`drawn.pt`, made once): those have no true picture, so they only have to look like one, and
keep the colours that they had. What is packaged are the mean weights. Run the same command again after a kill and it
goes on from the last checkpoint (`decoder.pt`).
"""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from torch import Tensor
from torch.nn import functional as F

from scripts.pocket.package import write_package
from scripts.pocket.realism import Critics, Features, perceptual_loss
from scripts.pocket.text import load_texts
from scripts.pocket.train_vae import LATENT_NOISE, draw_crops, psnr, reconstruction_loss, to_tensor, train_count
from scripts.pocket.training import (
    CHECKPOINT_EVERY_S,
    Clock,
    MeanWeights,
    learning_rate,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    set_learning_rate,
)

PEAK_LEARNING_RATE = 4e-4
CRITIC_LEARNING_RATE = 5e-4
CRITICS_ALONE = 30
"""Steps before the decoder listens to the critics."""
REALISM_SHARE = 0.4
"""Of the realism's gradient, relative to that of the other losses at the decoder's last layer."""
COLOUR_WEIGHT = 2.0
BATCH_DRAW = 16
GUIDANCE = 2.0


def draw_latents(pipeline: StableDiffusionPipeline, captions: Sequence[str], path: Path) -> Tensor:
    """Latents as the UNet leaves them, one for each caption: float32 [N, 8, 16, 16], kept in `path`."""
    if path.exists():
        kept: Tensor = torch.load(path, weights_only=True)
        return kept
    pipeline.set_progress_bar_config(disable=True)
    parts = []
    for start in range(0, len(captions), BATCH_DRAW):
        batch = list(captions[start : start + BATCH_DRAW])
        noise = [torch.Generator("cpu").manual_seed(start + place) for place in range(len(batch))]
        drawn = pipeline(batch, num_inference_steps=20, guidance_scale=GUIDANCE, generator=noise, output_type="latent")
        parts.append(drawn.images.float().cpu() / pipeline.vae.config.scaling_factor)
        print(f"drawn {start + len(batch)} of {len(captions)}", flush=True)
    latents = torch.cat(parts)
    save_checkpoint(path, latents)
    return latents


class DecoderTraining:
    """A decoder, its critics, and one step of both.

    Args:
        vae: the coder whose decoder is trained in place.
        drawn: latents that the UNet has drawn, float32 [N, 8, h, w].
        device: where.
    """

    def __init__(self, vae: AutoencoderTiny, drawn: Tensor, device: torch.device) -> None:
        self.vae = vae.to(device, memory_format=torch.channels_last).requires_grad_(False)
        self.first = copy.deepcopy(self.vae)
        self.vae.decoder.requires_grad_(True)
        self.drawn = drawn
        self.features = Features().to(device, memory_format=torch.channels_last)
        torch.manual_seed(0)
        self.critics = Critics().to(device)
        self.mean = MeanWeights({"decoder": self.vae.decoder}, 0.99)
        settings: dict[str, Any] = {"betas": (0.5, 0.99), "weight_decay": 0.0}
        self.optimizer = torch.optim.AdamW(self.vae.decoder.parameters(), **settings)
        self.critics_optimizer = torch.optim.AdamW(self.critics.parameters(), lr=CRITIC_LEARNING_RATE, **settings)
        self.balance: float | None = None
        self.steps = 0

    def step(self, target: Tensor, rate: float, rng: np.random.Generator) -> dict[str, float]:
        """One step on rendered crops [B, 3, S, S] in -1…1 and half as many crops of drawn pictures; its losses."""
        decoded, pictures, first = self._decode(target, rng)
        rendered_maps = self.features(target)
        maps = [self.features(decoded), self.features(pictures)]
        likeness = reconstruction_loss(decoded, target) + perceptual_loss(maps[0], rendered_maps)
        colour = (F.avg_pool2d(pictures, 4) - F.avg_pool2d(first, 4)).abs().mean()

        critics_loss = self.critics.loss(rendered_maps, maps)
        self.critics_optimizer.zero_grad(set_to_none=True)
        critics_loss.backward()
        self.critics_optimizer.step()

        loss = likeness + COLOUR_WEIGHT * colour
        if self.steps >= CRITICS_ALONE:
            unreal = -self.critics.requires_grad_(False).realism(maps)
            self.critics.requires_grad_(True)
            loss = loss + REALISM_SHARE * self._balanced(likeness, unreal) * unreal
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.decoder.parameters(), 1.0)
        self.optimizer.step()
        self.mean.update()
        self.steps += 1
        return {"likeness": likeness.item(), "critics": critics_loss.item(), "psnr": psnr(decoded, target)}

    def _decode(self, target: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Decoded crops, decoded crops of drawn pictures, and these as the decoder gave them before the training."""
        side = target.shape[-1] // 8
        y, x = rng.integers(self.drawn.shape[-1] - side + 1, size=2)
        chosen = torch.as_tensor(rng.integers(len(self.drawn), size=max(1, len(target) // 2)))
        drawn = self.drawn[chosen, :, y : y + side, x : x + side].to(target.device)
        with torch.no_grad():
            latents = self.vae.encode(target).latents
            strength = LATENT_NOISE * torch.rand(len(target), 1, 1, 1, device=target.device)
            first = self.first.decode(drawn).sample
        noisy = latents + strength * torch.randn_like(latents)
        return self.vae.decode(noisy).sample, self.vae.decode(drawn).sample, first

    def _balanced(self, likeness: Tensor, unreal: Tensor) -> float:
        """What makes the two losses' gradients equally large at the last layer (Esser et al. 2021, arXiv 2012.09841,
        equation 7); a running mean, brought up to date now and then."""
        if self.balance is None or self.steps % 20 == 0:
            last = [value for name, value in self.vae.decoder.named_parameters() if name.endswith("weight")][-1]
            sizes = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm().item() for loss in (likeness, unreal)]
            now = min(2.0, sizes[0] / (sizes[1] + 1e-6))
            self.balance = now if self.balance is None else 0.8 * self.balance + 0.2 * now
        return self.balance

    def state(self) -> dict[str, Any]:
        return {
            "vae": self.vae.state_dict(),
            "critics": self.critics.state_dict(),
            "mean": self.mean.shadow,
            "optimizers": [self.optimizer.state_dict(), self.critics_optimizer.state_dict()],
            "balance": self.balance,
            "steps": self.steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.vae.load_state_dict(state["vae"])
        self.critics.load_state_dict(state["critics"])
        self.mean.shadow, self.mean.updates = state["mean"], state["steps"]
        self.optimizer.load_state_dict(state["optimizers"][0])
        self.critics_optimizer.load_state_dict(state["optimizers"][1])
        self.balance, self.steps = state["balance"], state["steps"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the packaged model")
    parser.add_argument("--work", type=Path, required=True, help="folder with images.npy and rows.jsonl of dataset.py")
    parser.add_argument("--out", type=Path, required=True, help="where the package goes; may be the same folder")
    parser.add_argument("--minutes", type=float, default=45, help="training time in all, over all runs")
    parser.add_argument("--batch-size", type=int, default=6)
    parser.add_argument("--crop", type=int, default=80, help="side of the training crops in pixels, a multiple of 16")
    parser.add_argument("--drawn", type=int, default=1000, help="latents to draw")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-steps", type=int, default=None, help="stop after this many steps of this run")
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    images = np.load(args.work / "images.npy", mmap_mode="r")
    count = train_count(images)

    pipeline = StableDiffusionPipeline.from_pretrained(args.model, dtype=torch.float32).to(device)
    captions = load_texts(args.work / "rows.jsonl")[:count][: args.drawn]
    training = DecoderTraining(pipeline.vae, draw_latents(pipeline, captions, args.work / "drawn.pt"), device)
    clock = Clock(args.minutes * 60)
    checkpoint = load_checkpoint(args.work / "decoder.pt", device)
    if checkpoint is not None:
        training.load_state(checkpoint)
        clock.elapsed_s = checkpoint["elapsed_s"]

    def save() -> None:
        save_checkpoint(args.work / "decoder.pt", training.state() | {"elapsed_s": clock.elapsed_s})

    saved_at, first_step = clock.elapsed_s, training.steps
    while clock.fraction < 1 and (args.max_steps is None or training.steps - first_step < args.max_steps):
        rng = np.random.default_rng([1, training.steps])
        torch.manual_seed(training.steps)
        target = to_tensor(draw_crops(images[:count], args.batch_size, args.crop, rng), device)
        losses = training.step(target, learning_rate(PEAK_LEARNING_RATE, clock.fraction), rng)
        clock.tick()
        if training.steps % 20 == 0:
            told = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            print(f"step {training.steps} minutes {clock.elapsed_s / 60:.1f} {told}", flush=True)
        if clock.elapsed_s - saved_at > CHECKPOINT_EVERY_S:
            save()
            saved_at = clock.elapsed_s
    save()
    training.mean.copy_to_modules()
    size = write_package(pipeline.to("cpu"), args.out)
    print(f"{args.out}: {size / 2**20:.1f} MiB after {training.steps} steps")


if __name__ == "__main__":
    main()
