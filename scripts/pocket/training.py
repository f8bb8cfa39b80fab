"""What both trainers share: a time budget, checkpoints that survive a kill, the learning rate, the mean weights."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

CHECKPOINT_EVERY_S = 180.0


@dataclass
class Clock:
    """Accumulated training time against a budget; time between runs does not count."""

    budget_s: float
    elapsed_s: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    def tick(self) -> float:
        """Add the time since the last tick; returns the fraction of the budget used, at most 1."""
        now = time.monotonic()
        self.elapsed_s += now - self._last
        self._last = now
        return self.fraction

    @property
    def fraction(self) -> float:
        return min(self.elapsed_s / self.budget_s, 1.0)


def learning_rate(peak: float, fraction: float, warm_up: float = 0.02, hold: float = 0.3) -> float:
    """Linear warm-up, constant until `hold`, then a cosine to 1 % of the peak; all in fractions of the time budget.

    Tied to the clock and not to a step count, so that training always ends on time however busy the machine is.
    """
    if fraction < warm_up:
        return peak * max(fraction / warm_up, 0.02)
    progress = max(fraction - hold, 0.0) / (1 - hold)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value


class MeanWeights:
    """Exponential moving average of parameters (EMA), with the usual warm-up min(decay, (1 + n) / (10 + n))."""

    def __init__(self, modules: dict[str, torch.nn.Module], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.modules = modules
        self.shadow = {name: [p.detach().clone() for p in m.parameters()] for name, m in modules.items()}

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, module in self.modules.items():
            torch._foreach_lerp_(self.shadow[name], list(module.parameters()), 1 - decay)

    @torch.no_grad()
    def copy_to_modules(self) -> None:
        for name, module in self.modules.items():
            for parameter, mean in zip(module.parameters(), self.shadow[name], strict=True):
                parameter.copy_(mean)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write beside the final name, then rename, so that a kill leaves the old checkpoint whole."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint, None where there is none yet. Tensors and plain values only: nothing in it is executed."""
    return torch.load(path, map_location=device, weights_only=True) if path.exists() else None


def pick_device(name: str) -> torch.device:
    """`auto` is cuda when present, else cpu."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
