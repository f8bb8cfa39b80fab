"""Train a segmentation network."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.core.seeds import derive_seed
from dsfactory.errors import DamagedImage
from dsfactory.segment.augment import random_crop
from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.data import LabelledImages
from dsfactory.segment.network import Segmenter
from dsfactory.storage.atomic import write_atomic

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
WEIGHT_DECAY = 0.01
BACKGROUND_WEIGHT = 0.25
"""Of background in the loss in the first half of the steps, against 1 for the other classes."""
CHECKPOINT_EVERY_S = 30.0


def _silent(done: int, total: int) -> None:
    pass


def train_segmenter(
    model: Segmenter,
    data: LabelledImages,
    config: SegmentConfig,
    seed: int,
    *,
    checkpoint: Path | None = None,
    report: Callable[[int, int], None] = _silent,
) -> None:
    """Train a network in place; AdamW, warm-up, then a learning rate that falls linearly to zero.

    On one machine the result depends on the arguments alone, also when the training was killed and goes on from its
    checkpoint. Every step counts the same number of images, whatever the size of the data.

    Args:
        model: fresh from :func:`~dsfactory.segment.network.build_segmenter`, on the device to train on.
        data: at least one pair; label ids below the network's number of labels, 255 is not learnt.
        config: steps, batch size, learning rate, side of the crops.
        seed: decides order and augmentation.
        checkpoint: file that keeps the state, and from which the same training goes on. It is there, finished, at the
            end; another training's file is overwritten.
        report: called with steps done and in all, once at the start and after each step.

    Raises:
        ValueError: no data.
        DamagedImage: a label id that the network does not have.
    """
    if len(data) == 0:
        raise ValueError("no images to train on")
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.peak_rate, weight_decay=WEIGHT_DECAY)
    identity = json.dumps({"config": config.identity(), "seed": seed, "images": len(data)}, sort_keys=True)
    done = _resume(checkpoint, identity, model, optimizer) if checkpoint is not None else 0
    order = _batches(len(data), config.batch_size, seed, done)
    saved_at = time.monotonic()
    model.train()
    report(done, config.steps)
    for step in range(done, config.steps):
        images, labels = _batch(data, next(order), config, derive_seed(seed, "augment", step))
        for group in optimizer.param_groups:
            group["lr"] = config.peak_rate * _schedule(step, config.steps)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(seed, "dropout", step))
            loss = _loss(model, images.to(device), labels.to(device), _background_weight(step, config.steps))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        last = step + 1 == config.steps
        if checkpoint is not None and (last or time.monotonic() - saved_at >= CHECKPOINT_EVERY_S):
            write_atomic(checkpoint, _state(model, optimizer, identity, step + 1))
            saved_at = time.monotonic()
        report(step + 1, config.steps)
    model.eval()


def _schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then linear decay to nearly zero."""
    warm = max(1, round(WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / (steps - warm)


def _background_weight(step: int, steps: int) -> float:
    """Weight of background in the loss: small for half of the steps, so that rare classes are learnt; 1 in the end."""
    return BACKGROUND_WEIGHT + (1 - BACKGROUND_WEIGHT) * max(0.0, 2 * step / steps - 1)


def _batches(images: int, size: int, seed: int, skip: int) -> Iterator[list[int]]:
    """Indices of every step's images: one shuffled pass over the data after the other, without end."""
    epoch, passed = divmod(skip * size, images)
    pool: list[int] = []
    while True:
        while len(pool) < passed + size:
            pool += np.random.default_rng([seed, epoch]).permutation(images).tolist()
            epoch += 1
        pool = pool[passed:]
        passed = 0
        yield pool[:size]
        pool = pool[size:]


def _batch(data: LabelledImages, indices: list[int], config: SegmentConfig, seed: int) -> tuple[Tensor, Tensor]:
    """uint8 ``(images, 3, side, side)`` and int64 ``(images, side, side)``."""
    pairs = [
        random_crop(*data[index], config.side, np.random.default_rng([seed, place]))
        for place, index in enumerate(indices)
    ]
    images = np.stack([image for image, _ in pairs]).transpose(0, 3, 1, 2)
    labels = np.stack([labels for _, labels in pairs])
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels).long()


def _loss(model: Segmenter, images: Tensor, labels: Tensor, background: float) -> Tensor:
    """Mean cross entropy over the pixels that are not void, background weighted; 0 when all are void."""
    logits = functional.interpolate(model(images).float(), size=labels.shape[1:], mode="bilinear")
    largest = int(labels.masked_fill(labels == VOID, 0).max())
    if largest >= logits.shape[1]:
        raise DamagedImage(f"an image has the label {largest}, and the network knows 0 to {logits.shape[1] - 1}")
    weights = logits.new_ones(logits.shape[1])
    weights[BACKGROUND] = background
    total = functional.cross_entropy(logits, labels, weights, ignore_index=VOID, reduction="sum")
    known = (labels != VOID).sum() - (1 - background) * (labels == BACKGROUND).sum()
    return total / known.clamp(min=1)


def _state(model: Segmenter, optimizer: torch.optim.AdamW, identity: str, done: int) -> bytes:
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value.contiguous() for name, value in slots.items()}
    return save(tensors, metadata={"training": identity, "done": str(done)})


def _resume(path: Path, identity: str, model: Segmenter, optimizer: torch.optim.AdamW) -> int:
    """Load a checkpoint of the same training and return its number of steps; 0 when there is none."""
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("training") != identity:
                return 0
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a mapping
    except (OSError, SafetensorError):
        return 0
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
    slots: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return int(metadata["done"])
