"""Train the pocket model: UNet and text encoder together, from scratch, on the cached latents of rendered scenes.

    python -m scripts.pocket.train_unet --work DIR --captions CAPTIONS.jsonl.gz --minutes 75

Needs `images.npy`, `rows.jsonl` (dataset.py) and `vae.pt` (train_vae.py) in the work folder; writes `tokenizer/`,
`latents.npy` and the checkpoint `unet.pt`. Run the same command again after a kill and it goes on.

The objective is v-prediction (Salimans & Ho 2022, arXiv 2202.00512, section 4) on the scaled-linear schedule rescaled
to zero terminal SNR (Lin et al. 2024, arXiv 2305.08891, section 3.1), with the weight of low noise cut as in min-SNR-5
(Hang et al. 2023, arXiv 2303.09556). Captions are dropped one time in ten for classifier-free guidance. A second, small
loss grounds the class words' attention in the rendered scenes' masks: see grounding.py.
"""

import argparse
import gzip
import json
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from scripts.pocket.grounding import GroundingLoss, mask_grids, token_weights
from scripts.pocket.text import build_text_encoder, encode_ids, load_texts, train_tokenizer
from scripts.pocket.train_vae import LATENT_CHANNELS, build_vae, to_tensor
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

CAPTION_DROPOUT = 0.1
EMA_DECAY = 0.999
GROUNDING = 0.15
SNR_CLAMP = 5.0
# Without layers a token says its own word and nothing else: in a causal encoder the 60 padding tokens would carry the
# whole caption and take the attention from the words.
TEXT_WIDTH, TEXT_LAYERS = 128, 0
UNET_WIDTHS = (64, 128, 192)
NOISE_SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
}


def build_unet() -> UNet2DConditionModel:
    """An untrained UNet for latents [B, 8, 16, 16], with attention where it pays for its time: at 8², at 4² in the
    middle, and at 16² on the way up, where Stable Diffusion's attention says most about shape too."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=UNET_WIDTHS,
        layers_per_block=1,
        attention_head_dim=2,  # diffusers means the number of heads
        cross_attention_dim=TEXT_WIDTH,
    )


def make_tokenizer(work: Path, captions: Path) -> None:
    """Learn `tokenizer/` on all captions of the corpus and of the scenes, where it is missing."""
    folder = work / "tokenizer"
    if folder.exists():
        return
    with gzip.open(captions, "rt", encoding="utf-8") as lines:
        corpus = [json.loads(line)["caption"] for line in lines]
    part = work / "tokenizer.part"
    train_tokenizer(corpus + load_texts(work / "rows.jsonl")).save_pretrained(part)
    part.rename(folder)


def make_latents(work: Path, device: torch.device) -> None:
    """Encode all scenes once: `latents.npy`, float16 [N, 8, 16, 16], where it is missing."""
    path = work / "latents.npy"
    if path.exists():
        return
    checkpoint = load_checkpoint(work / "vae.pt", device)
    if checkpoint is None:
        sys.exit(f"no {work / 'vae.pt'}: run train_vae first")
    vae = build_vae().to(device, memory_format=torch.channels_last)
    vae.load_state_dict(checkpoint["vae"])
    images = np.load(work / "images.npy", mmap_mode="r")
    parts = []
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        for start in range(0, len(images), 256):
            parts.append(vae.encode(to_tensor(images[start : start + 256], device)).latents.half().cpu())
    part = path.with_suffix(".part.npy")
    np.save(part, torch.cat(parts).numpy())
    part.rename(path)


def snr_weights(alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """Weight of the v-loss per timestep, [T]: 1 where SNR ≤ clamp, falling as min-SNR above it."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    return (snr.clamp(max=SNR_CLAMP) + 1) / (snr + 1)


class Objective:
    """Batches of cached latents with their captions, and the weighted v-loss on them."""

    def __init__(self, work: Path, batch_size: int, device: torch.device) -> None:
        # All of it lies on the device: some kilobytes a scene.
        self.latents = torch.from_numpy(np.load(work / "latents.npy")).to(device)
        self.scale = 1 / self.latents[:4096].float().std().item()
        self.tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
        self.ids = encode_ids(self.tokenizer, load_texts(work / "rows.jsonl")).to(device)
        self.empty = encode_ids(self.tokenizer, [""])[0].to(device)
        self.schedule = DDPMScheduler(**NOISE_SCHEDULE)
        self.schedule.alphas_cumprod = self.schedule.alphas_cumprod.to(device)
        self.weights = snr_weights(self.schedule.alphas_cumprod)
        self.token_weights = token_weights(self.tokenizer, work / "rows.jsonl").to(device)
        self.masks = mask_grids(np.load(work / "labels.npy", mmap_mode="r")).to(device)
        self.batch_size, self.device = batch_size, device
        self.random = torch.Generator(device)

    def build(self) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """Untrained nets on the device."""
        torch.manual_seed(0)
        text_encoder = build_text_encoder(self.tokenizer, TEXT_WIDTH, TEXT_LAYERS)
        unet = build_unet().to(self.device)
        self.grounding = GroundingLoss(unet)
        return unet, text_encoder.to(self.device).train()

    def loss(
        self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The loss to minimise on the batch that `seed` names on this kind of device; the plain v-loss and grounding
        loss to look at."""
        # Drawn where they are used: what is copied there waits for all that was begun before.
        draw = {"generator": self.random.manual_seed(seed), "device": self.device}
        chosen = torch.randperm(len(self.latents), **draw)[: self.batch_size]
        clean = self.latents[chosen].float() * self.scale
        dropped = torch.rand(self.batch_size, **draw) < CAPTION_DROPOUT
        text = torch.where(dropped[:, None], self.empty, self.ids[chosen])
        self.grounding.weights = self.token_weights[chosen] * ~dropped[:, None, None]
        timesteps = torch.randint(1000, (self.batch_size,), **draw)
        noise = torch.randn(clean.shape, **draw)
        noisy = self.schedule.add_noise(clean, noise, timesteps)
        target = self.schedule.get_velocity(clean, noise, timesteps)
        with torch.autocast(self.device.type, torch.bfloat16):
            context = text_encoder(text).last_hidden_state
            predicted = unet(noisy, timesteps, context).sample
        each = (predicted.float() - target).square().mean(dim=(1, 2, 3))
        # In pure noise nothing can be found yet.
        visible = self.schedule.alphas_cumprod[timesteps]
        grounding = (self.grounding.loss(self.masks[chosen]) * visible).mean() / visible.mean()
        loss = (each * self.weights[timesteps]).mean() + GROUNDING * grounding
        return loss, each.detach().mean(), grounding.detach()


def begin_with(modules: dict[str, torch.nn.Module], path: Path, device: torch.device) -> None:
    """Copy the mean weights of an earlier checkpoint, by name; text encoder layers that are no more are left out."""
    earlier = torch.load(path, map_location=device, weights_only=True)
    for name, module in modules.items():
        weights = dict(zip(parameter_names(earlier[name]), earlier["mean"][name], strict=True))
        module.load_state_dict({key: weights.get(key, value) for key, value in module.state_dict().items()})


def parameter_names(state: dict[str, torch.Tensor]) -> list[str]:
    """Names of a checkpoint's parameters in the order of its mean weights; buffers (positions) are not among them."""
    return [key for key in state if not key.endswith("position_ids")]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--captions", type=Path, required=True, help="COCO captions, gzipped JSON lines")
    parser.add_argument("--minutes", type=float, default=75, help="training time in all, over all runs")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=6e-4, help="peak; larger batches bear more")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--init", type=Path, help="begin with the mean weights of this earlier unet.pt where they fit")
    parser.add_argument("--max-steps", type=int, default=None, help="stop after this many steps of this run")
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    torch.backends.cudnn.benchmark = True  # shapes never change: cuDNN tries its kernels once and takes the fastest

    make_latents(args.work, device)
    make_tokenizer(args.work, args.captions)
    objective = Objective(args.work, args.batch_size, device)
    unet, text_encoder = objective.build()
    modules = {"unet": unet, "text_encoder": text_encoder}
    parameters = [p for module in modules.values() for p in module.parameters()]
    print({name: f"{sum(p.numel() for p in m.parameters()) / 1e6:.2f} M" for name, m in modules.items()}, flush=True)
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
    mean = MeanWeights(modules, EMA_DECAY)
    clock, step = Clock(args.minutes * 60), 0
    checkpoint = load_checkpoint(args.work / "unet.pt", device)
    if checkpoint is None and args.init is not None:
        begin_with(modules, args.init, device)
        mean = MeanWeights(modules, EMA_DECAY)
    if checkpoint is not None:
        for name, module in modules.items():
            module.load_state_dict(checkpoint[name])
            mean.shadow[name] = checkpoint["mean"][name]
        optimizer.load_state_dict(checkpoint["optimizer"])
        clock.elapsed_s, step = checkpoint["elapsed_s"], checkpoint["step"]
        mean.updates = step

    def save() -> None:
        state = {name: module.state_dict() for name, module in modules.items()}
        state |= {"mean": mean.shadow, "optimizer": optimizer.state_dict(), "scale": objective.scale}
        save_checkpoint(args.work / "unet.pt", state | {"step": step, "elapsed_s": clock.elapsed_s})

    saved_at, first_step, losses = clock.elapsed_s, step, deque[torch.Tensor](maxlen=50)
    while clock.fraction < 1 and (args.max_steps is None or step - first_step < args.max_steps):
        set_learning_rate(optimizer, learning_rate(args.learning_rate, clock.fraction))
        loss, v_loss, grounding = objective.loss(unet, text_encoder, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        mean.update()
        step += 1
        clock.tick()
        losses.append(torch.stack((v_loss, grounding)))  # read only when printed: reading waits for the device
        if step % 50 == 0 or step == 1:
            v_mean, grounding_mean = torch.stack(tuple(losses)).mean(0).tolist()
            print(
                f"step {step} images {step * args.batch_size} minutes {clock.elapsed_s / 60:.1f} "
                f"v-loss {v_mean:.4f} grounding {grounding_mean:.4f}",
                flush=True,
            )
        if clock.elapsed_s - saved_at > CHECKPOINT_EVERY_S:
            save()
            saved_at = clock.elapsed_s
    save()
    print(f"done: {step} steps, {step * args.batch_size} images, {clock.elapsed_s / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
