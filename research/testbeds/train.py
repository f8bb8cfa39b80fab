"""Train a test bed on latents and captions: nothing says where anything is.

    python -m research.testbeds.train unet --work DIR --minutes 180 --out research/testbeds/unet
    python -m research.testbeds.train joint --work DIR --minutes 240 --out research/testbeds/joint

Needs the work folder of dataset.py. Run the same command again after a kill and it goes on; time between runs does not
count. Captions are dropped one time in ten for classifier-free guidance.
"""

import argparse
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from research.testbeds.models import Bed
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


class Batches:
    """The cached latents and captions, a batch for each seed."""

    def __init__(self, bed: Bed, latents: Tensor, captions: list[str], size: int) -> None:
        self.bed, self.size = bed, size
        self.device = latents.device
        self.latents = latents
        self.ids, self.empty = bed.ids(captions).to(self.device), bed.ids([""])[0].to(self.device)
        self.random = torch.Generator(self.device)

    def loss(self, seed: int) -> tuple[Tensor, Tensor]:
        """The loss to minimise on the batch that ``seed`` names, and the plain mean error to look at."""
        draw = {"generator": self.random.manual_seed(seed), "device": self.device}
        chosen = torch.randint(len(self.latents), (self.size,), **draw)
        clean = self.latents[chosen].float() * self.bed.scale
        dropped = torch.rand(self.size, **draw) < CAPTION_DROPOUT
        ids = torch.where(dropped[:, None], self.empty, self.ids[chosen])
        times = torch.rand(self.size, **draw)
        if self.bed.kind == "joint":  # logit-normal times (Esser et al. 2024, section 3.1)
            times = torch.sigmoid(torch.randn(self.size, **draw))
        noise = torch.randn(clean.shape, **draw)
        noisy, target = self.bed.noised(clean, noise, times)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            predicted = self.bed.predict(noisy, times, self.bed.text_encoder(ids).last_hidden_state)
        each = (predicted.float() - target).square().mean(dim=(1, 2, 3))
        return (each * self.bed.loss_weights(times)).mean(), each.detach().mean()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("unet", "joint"))
    parser.add_argument("--work", type=Path, required=True, help="of dataset.py; the checkpoint is kept there too")
    parser.add_argument("--out", type=Path, required=True, help="where the finished model is written")
    parser.add_argument("--minutes", type=float, default=180, help="training time in all, over all runs")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=6e-4, help="peak; larger batches bear more")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-steps", type=int, default=None, help="stop after this many steps of this run")
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    latents = torch.from_numpy(np.load(args.work / "latents.npy")).to(device)
    captions = (args.work / "captions.txt").read_text(encoding="utf-8").splitlines()
    scale = 1 / latents[:4096].float().std().item()
    bed = Bed.new(args.kind, CLIPTokenizer.from_pretrained(args.work / "tokenizer"), scale, device)
    batches = Batches(bed, latents, captions, args.batch_size)
    parameters = [p for module in bed.modules.values() for p in module.train().parameters()]
    print(
        {name: f"{sum(p.numel() for p in m.parameters()) / 1e6:.2f} M" for name, m in bed.modules.items()}, flush=True
    )
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
    mean = MeanWeights(bed.modules, EMA_DECAY)
    clock, step = Clock(args.minutes * 60), 0
    path = args.work / f"{args.kind}.pt"
    checkpoint = load_checkpoint(path, device)
    if checkpoint is not None:
        for name, module in bed.modules.items():
            module.load_state_dict(checkpoint[name])
            mean.shadow[name] = checkpoint["mean"][name]
        optimizer.load_state_dict(checkpoint["optimizer"])
        clock.elapsed_s, step = checkpoint["elapsed_s"], checkpoint["step"]
        mean.updates = step

    def save() -> None:
        state = {name: module.state_dict() for name, module in bed.modules.items()}
        state |= {"mean": mean.shadow, "optimizer": optimizer.state_dict()}
        save_checkpoint(path, state | {"step": step, "elapsed_s": clock.elapsed_s})

    saved_at, first_step, losses = clock.elapsed_s, step, deque[Tensor](maxlen=50)
    while clock.fraction < 1 and (args.max_steps is None or step - first_step < args.max_steps):
        set_learning_rate(optimizer, learning_rate(args.learning_rate, clock.fraction))
        loss, error = batches.loss(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        mean.update()
        step += 1
        clock.tick()
        losses.append(error)  # read only when printed: reading waits for the device
        if step % 50 == 0 or step == 1:
            images, minutes = step * args.batch_size, clock.elapsed_s / 60
            print(f"step {step} images {images} minutes {minutes:.1f} error {torch.stack(tuple(losses)).mean():.4f}",
                  flush=True)  # fmt: skip
        if clock.elapsed_s - saved_at > CHECKPOINT_EVERY_S:
            save()
            saved_at = clock.elapsed_s
    save()
    if clock.fraction == 1:
        mean.copy_to_modules()
        bed.save(args.out)
    print(f"{step} steps, {step * args.batch_size} images, {clock.elapsed_s / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
