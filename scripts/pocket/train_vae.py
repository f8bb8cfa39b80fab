"""Train the image coder of the pocket model: an `AutoencoderTiny` (f = 8, 8 latent channels) on rendered scenes.

    python -m scripts.pocket.train_vae --work DIR --minutes 20

Run the same command again after a kill and it goes on from the last checkpoint (`vae.pt`). The loss is L1 + L2 + L1 of
the image gradients, which keeps edges; `train_decoder` makes the pictures crisp, later. Noise on the latents makes the
decoder forgive what the diffusion model gets slightly wrong; a weak pull of each channel to mean 0 and deviation 1
makes the latents fit to diffuse.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from scripts.pocket.training import (
    CHECKPOINT_EVERY_S,
    Clock,
    learning_rate,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    set_learning_rate,
)

LATENT_CHANNELS = 8
PEAK_LEARNING_RATE = 1.2e-3
LATENT_NOISE = 0.1


def build_vae(width: int = 48) -> AutoencoderTiny:
    """An untrained coder: [B, 3, H, W] in -1…1 ↔ latents [B, 8, H/8, W/8]."""
    return AutoencoderTiny(
        encoder_block_out_channels=(width,) * 4,
        decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=(1, 1, 2, 3),
        num_decoder_blocks=(3, 3, 2, 1),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )


def draw_crops(images: np.ndarray, count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """`count` random crops, half of them mirrored, of uint8 [N, H, W, 3]: uint8 [count, side, side, 3]."""
    crops = np.empty((count, side, side, 3), np.uint8)
    for k in range(count):
        number = rng.integers(len(images))
        y, x = rng.integers(images.shape[1] - side + 1), rng.integers(images.shape[2] - side + 1)
        crop = images[number, y : y + side, x : x + side]
        crops[k] = crop[:, ::-1] if rng.random() < 0.5 else crop
    return crops


def to_tensor(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 [B, H, W, 3] → float32 [B, 3, H, W] in -1…1."""
    batch = torch.tensor(images, device=device)
    return batch.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)


def train_count(images: np.ndarray) -> int:
    """How many of the rendered scenes, from the first on, are trained on; the last 2 % are held out."""
    return len(images) - max(len(images) // 50, 1)


def psnr(decoded: torch.Tensor, target: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in -1…1."""
    return -10 * (decoded.detach() - target).div(2).square().mean().log10().item()


def reconstruction_loss(decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 + L2 + L1 of horizontal and vertical differences."""
    error = decoded - target
    gradient = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + gradient


def channel_loss(latents: torch.Tensor) -> torch.Tensor:
    """Distance of each latent channel's batch statistics from mean 0, deviation 1."""
    deviation, mean = torch.std_mean(latents, dim=(0, 2, 3))
    return mean.square().mean() + (deviation - 1).square().mean()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder with images.npy; checkpoints go there")
    parser.add_argument("--minutes", type=float, default=20, help="training time in all, over all runs")
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--crop", type=int, default=80, help="side of the training crops in pixels, a multiple of 8")
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-steps", type=int, default=None, help="stop after this many steps of this run")
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    torch.backends.cudnn.benchmark = True  # shapes never change: cuDNN tries its kernels once and takes the fastest
    images = np.load(args.work / "images.npy", mmap_mode="r")
    count = train_count(images)

    vae = build_vae(args.width).to(device, memory_format=torch.channels_last)
    checkpoint = load_checkpoint(args.work / "vae.pt", device)
    optimizer = torch.optim.AdamW(vae.parameters(), weight_decay=0.01, betas=(0.9, 0.99))
    clock, step = Clock(args.minutes * 60), 0
    if checkpoint is not None:
        vae.load_state_dict(checkpoint["vae"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        clock.elapsed_s, step = checkpoint["elapsed_s"], checkpoint["step"]

    def save() -> None:
        state = {
            "vae": vae.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "elapsed_s": clock.elapsed_s,
        }
        save_checkpoint(args.work / "vae.pt", state)

    saved_at, first_step = clock.elapsed_s, step
    while clock.fraction < 1 and (args.max_steps is None or step - first_step < args.max_steps):
        set_learning_rate(optimizer, learning_rate(PEAK_LEARNING_RATE, clock.fraction))
        rng = np.random.default_rng([1, step])
        target = to_tensor(draw_crops(images[:count], args.batch_size, args.crop, rng), device)
        with torch.autocast(device.type, torch.bfloat16):
            latents = vae.encode(target).latents
            decoded = vae.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample
        loss = reconstruction_loss(decoded.float(), target) + 0.05 * channel_loss(latents.float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        clock.tick()
        if step % 20 == 0:
            told = f"loss {loss.item():.4f} psnr {psnr(decoded.float(), target):.2f}"
            print(f"step {step} minutes {clock.elapsed_s / 60:.1f} {told}", flush=True)
        if clock.elapsed_s - saved_at > CHECKPOINT_EVERY_S:
            save()
            saved_at = clock.elapsed_s
    save()

    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        held_out = to_tensor(images[count : count + 64], device)
        latents = vae.encode(held_out).latents
        decoded = vae.decode(latents).sample.float()
    deviation = latents.float().std().item()
    print(f"held-out psnr {psnr(decoded, held_out):.2f} dB, latent deviation {deviation:.3f}", flush=True)


if __name__ == "__main__":
    main()
