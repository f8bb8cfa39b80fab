"""Training the affinity network on a run's own images: seeded, resumable, minutes on one core."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from dsfactory.core.seeds import derive_seed
from dsfactory.stages.refine.affinity_net import AffinityNet, affinity_loss, net_input, pair_distances, pair_labels
from dsfactory.storage.atomic import write_atomic

BATCH = 8
LEARNING_RATE = 3e-3
SAVE_EVERY = 50
"""Steps after which a killed training goes on."""


@dataclass(frozen=True)
class Example:
    """An image and what is sure of it.

    Attributes:
        image: uint8 RGB, shape ``(height, width, 3)``. Training sees only its ``net_image``, which is enough to keep.
        seeds: uint8 of shape :func:`dsfactory.stages.refine.affinity_net.grid_of` it, see ``confident_seeds``.
    """

    image: NDArray[np.uint8]
    seeds: NDArray[np.uint8]


def train_affinity(
    examples: Sequence[Example],
    steps: int,
    seed: int,
    checkpoint: Path | None = None,
    report: Callable[[int, int], None] = lambda step, steps: None,
) -> AffinityNet:
    """Train a network from scratch.

    Which examples a step sees, and whether they are flipped, follows from the seed and the step's number alone, so a
    training that goes on from its checkpoint ends with the weights of one that was never interrupted.

    Args:
        examples: at least one; all of one size.
        steps: optimizer steps.
        seed: of weights and order.
        checkpoint: where the state is kept between calls; None to keep none. The caller removes it in the end.
        report: called with the number of finished steps and of all.

    Raises:
        ValueError: no example holds two sure cells of different labels, so there is nothing to learn.
    """
    images = torch.stack([net_input(example.image) for example in examples])
    seeds = torch.from_numpy(np.stack([example.seeds for example in examples]))
    if not any(pair_labels(one[None])[2].any() for one in seeds):
        raise ValueError("no image is sure of both an object and background")
    # A generator of its own: what the caller draws at random stays as it is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "affinity", "weights") % 2**63)
        net = AffinityNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    done = _restore(checkpoint, net, optimizer, _digest(images, seeds, steps, seed)) if checkpoint else 0
    for step in range(done, steps):
        rng = np.random.default_rng(derive_seed(seed, "affinity", step))
        chosen = torch.from_numpy(rng.choice(len(images), min(BATCH, len(images)), replace=False))
        flip = bool(rng.random() < 0.5)
        batch, wanted = images[chosen], seeds[chosen]
        if flip:
            batch, wanted = batch.flip(-1), wanted.flip(-1)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1.0 - step / steps)
        loss = affinity_loss(pair_distances(net(batch)), pair_labels(wanted))
        if loss.requires_grad:
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        report(step + 1, steps)
        if checkpoint is not None and (step + 1) % SAVE_EVERY == 0 and step + 1 < steps:
            _keep(checkpoint, net, optimizer, step + 1, _digest(images, seeds, steps, seed))
    return net.eval()


def net_bytes(net: AffinityNet) -> bytes:
    """A network as a safetensors file; equal weights give equal bytes."""
    return save({name: value.contiguous() for name, value in sorted(net.state_dict().items())})


def net_from_bytes(data: bytes) -> AffinityNet:
    """Read what :func:`net_bytes` wrote.

    Raises:
        safetensors.SafetensorError: the bytes are not a safetensors file.
        RuntimeError: it holds something else.
    """
    net = AffinityNet()
    net.load_state_dict(load(data))
    return net.eval()


def _digest(images: torch.Tensor, seeds: torch.Tensor, steps: int, seed: int) -> str:
    """What a checkpoint belongs to."""
    content = hashlib.sha256(json.dumps([list(images.shape), steps, seed]).encode())
    content.update(images.numpy().tobytes())
    content.update(seeds.numpy().tobytes())
    return content.hexdigest()


def _keep(path: Path, net: AffinityNet, optimizer: torch.optim.Optimizer, step: int, digest: str) -> None:
    tensors = {f"net/{name}": value for name, value in net.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    write_atomic(path, save(tensors, {"step": str(step), "digest": digest}))


def _restore(path: Path, net: AffinityNet, optimizer: torch.optim.Optimizer, digest: str) -> int:
    """Load a checkpoint and return its step; 0 when there is none of this training."""
    if not path.is_file():
        return 0
    data = path.read_bytes()
    try:
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(data[8 : 8 + length])["__metadata__"]
        if facts["digest"] != digest:
            return 0
        tensors = load(data)
        net.load_state_dict({name[4:]: value for name, value in tensors.items() if name.startswith("net/")})
    except Exception:
        return 0
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(facts["step"])
