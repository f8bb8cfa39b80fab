"""Train the pocket model's ControlNet: the scenes' masks in colours show the UNet where each class is to be.

    python -m scripts.pocket.train_controlnet --model dsfactory/models/pocket --work DIR --out DIR [--minutes N]

`--work` is the folder of `scripts.pocket.dataset` (images, labels, captions). The UNet, the text encoder and the VAE
stay as they are. A ControlNet copies the UNet's way down and adds to its way up through convolutions that begin at zero
(Zhang et al. 2023, arXiv 2302.05543): untrained it changes nothing, to the last bit. Half of the captions are dropped,
so that it learns to read colours and not the text (section 3.4). Killed, it goes on from `controlnet.pt`; `--out` gets
float16 weights and `labelmap.txt`, the colours.
"""

import argparse
import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel, DDPMScheduler, StableDiffusionPipeline

from dsfactory.formats.colours import voc_colour
from dsfactory.formats.voc.layout import LABELMAP, labelmap_text
from scripts.pocket.text import encode_ids
from scripts.pocket.train_unet import EMA_DECAY, snr_weights
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

CAPTION_DROPOUT = 0.5
EMBEDDING = (16, 32, 64, 128)
"""Widths of the convolutions that bring a layout to the latent's grid."""


def build_controlnet(unet: Any) -> Any:
    """An untrained ControlNet of a UNet: its outputs are zero."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=EMBEDDING)


def classes_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All classes of the scenes, by name."""
    return sorted({name for row in rows for name in row["classes"]})


class Objective:
    """Batches of scenes with their layouts, and the weighted v-loss on them.

    Args:
        model: folder of the pocket model.
        work: folder of the scenes.
        batch_size: scenes in a batch.
        device: where all of it lies.
    """

    def __init__(self, model: Path, work: Path, batch_size: int, device: torch.device) -> None:
        pipeline = StableDiffusionPipeline.from_pretrained(model).to(device)
        self.unet = pipeline.unet.requires_grad_(False)
        self.text_encoder, self.scale = pipeline.text_encoder, pipeline.vae.config.scaling_factor
        rows = [json.loads(line) for line in (work / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
        self.classes = classes_of(rows)
        ids = {name: number for number, name in enumerate(self.classes, start=1)}
        self.tables = torch.zeros(len(rows), 4, dtype=torch.uint8, device=device)
        for number, row in enumerate(rows):  # a scene's k-th class as one of all
            self.tables[number, 1 : 1 + len(row["classes"])] = torch.tensor([ids[name] for name in row["classes"]])
        self.labels = np.load(work / "labels.npy", mmap_mode="r")
        self.colours = torch.tensor([voc_colour(number) for number in range(len(self.classes) + 1)]).to(device) / 255
        self.ids = encode_ids(pipeline.tokenizer, [row["caption"] for row in rows]).to(device)
        self.empty = encode_ids(pipeline.tokenizer, [""])[0].to(device)
        self.latents = encoded(pipeline.vae, work, device)
        self.schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.schedule.alphas_cumprod = self.schedule.alphas_cumprod.to(device)
        self.weights = snr_weights(self.schedule.alphas_cumprod)
        self.batch_size, self.device, self.random = batch_size, device, torch.Generator(device)

    def pictures(self, chosen: torch.Tensor) -> torch.Tensor:
        """Layouts of scenes in colours, float32 ``(scenes, 3, 128, 128)`` in [0, 1]."""
        labels = torch.from_numpy(self.labels[chosen.cpu().numpy()]).to(self.device)
        numbers = self.tables[chosen].gather(1, labels.flatten(1).long()).reshape(labels.shape)
        return self.colours[numbers.long()].permute(0, 3, 1, 2).float()

    def loss(self, controlnet: Any, seed: int) -> torch.Tensor:
        """The loss on the batch that ``seed`` names on this kind of device."""
        draw = {"generator": self.random.manual_seed(seed), "device": self.device}
        chosen = torch.randperm(len(self.latents), **draw)[: self.batch_size]
        clean = self.latents[chosen].float() * self.scale
        dropped = torch.rand(len(chosen), **draw) < CAPTION_DROPOUT
        text = torch.where(dropped[:, None], self.empty, self.ids[chosen])
        timesteps = torch.randint(1000, (len(chosen),), **draw)
        noise = torch.randn(clean.shape, **draw)
        noisy = self.schedule.add_noise(clean, noise, timesteps)
        with torch.autocast(self.device.type, torch.bfloat16):
            context = self.text_encoder(text).last_hidden_state
            down, middle = controlnet(noisy, timesteps, context, self.pictures(chosen), return_dict=False)
            predicted = self.unet(
                noisy, timesteps, context, down_block_additional_residuals=down, mid_block_additional_residual=middle
            ).sample
        target = self.schedule.get_velocity(clean, noise, timesteps)
        each = (predicted.float() - target).square().mean(dim=(1, 2, 3))
        return (each * self.weights[timesteps]).mean()


@torch.no_grad()
def encoded(vae: Any, work: Path, device: torch.device) -> torch.Tensor:
    """The scenes' latents, unscaled float16 ``(scenes, 8, 16, 16)``; kept in ``controlnet-latents.pt``."""
    path = work / "controlnet-latents.pt"
    if path.exists():
        kept: torch.Tensor = torch.load(path, map_location=device, weights_only=True)
        return kept
    images, parts = np.load(work / "images.npy", mmap_mode="r"), []
    for start in range(0, len(images), 256):
        pixels = torch.tensor(images[start : start + 256]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        parts.append(vae.encode(pixels).latents.half())
    found = torch.cat(parts)
    torch.save(found, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
    return found


def package(controlnet: Any, classes: Sequence[str], out: Path) -> None:
    """Write the weights as float16, and the colours."""
    controlnet.half().save_pretrained(out)
    (out / LABELMAP).write_text(labelmap_text(dict(enumerate(["background", *classes]))), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("dsfactory/models/pocket"))
    parser.add_argument("--work", type=Path, required=True, help="folder of the scenes; the checkpoint is kept there")
    parser.add_argument("--out", type=Path, required=True, help="folder of the ControlNet")
    parser.add_argument("--minutes", type=float, default=180, help="training time in all, over all runs")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="peak; larger batches bear more")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-steps", type=int, default=None, help="stop after this many steps of this run")
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    objective = Objective(args.model, args.work, args.batch_size, device)
    torch.manual_seed(0)
    controlnet = build_controlnet(objective.unet).to(device).train()
    print(f"controlnet: {sum(p.numel() for p in controlnet.parameters()) / 1e6:.2f} M weights", flush=True)
    optimizer = torch.optim.AdamW(controlnet.parameters(), weight_decay=0.01, betas=(0.9, 0.99))
    mean = MeanWeights({"controlnet": controlnet}, EMA_DECAY)
    clock, step, kept = Clock(args.minutes * 60), 0, args.work / "controlnet.pt"
    checkpoint = load_checkpoint(kept, device)
    if checkpoint is not None:
        controlnet.load_state_dict(checkpoint["controlnet"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        mean.shadow["controlnet"], mean.updates = checkpoint["mean"], checkpoint["step"]
        clock.elapsed_s, step = checkpoint["elapsed_s"], checkpoint["step"]

    def save() -> None:
        state = {"controlnet": controlnet.state_dict(), "mean": mean.shadow["controlnet"]}
        state |= {"optimizer": optimizer.state_dict(), "step": step, "elapsed_s": clock.elapsed_s}
        save_checkpoint(kept, state)

    saved_at, first, losses = clock.elapsed_s, step, deque[torch.Tensor](maxlen=50)
    while clock.fraction < 1 and (args.max_steps is None or step - first < args.max_steps):
        set_learning_rate(optimizer, learning_rate(args.learning_rate, clock.fraction))
        loss = objective.loss(controlnet, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(controlnet.parameters(), 1.0)
        optimizer.step()
        mean.update()
        step += 1
        clock.tick()
        losses.append(loss.detach())
        if step % 50 == 0 or step == 1:
            said = torch.stack(tuple(losses)).mean().item()
            print(f"step {step} minutes {clock.elapsed_s / 60:.1f} v-loss {said:.4f}", flush=True)
        if clock.elapsed_s - saved_at > CHECKPOINT_EVERY_S:
            save()
            saved_at = clock.elapsed_s
    save()
    mean.copy_to_modules()
    package(controlnet, objective.classes, args.out)
    print(f"done: {step} steps, {clock.elapsed_s / 60:.1f} minutes, in {args.out}", flush=True)


if __name__ == "__main__":
    main()
