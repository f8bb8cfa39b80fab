"""Two small networks that judge the pocket model, trained on rendered scenes of the training styles with exact truth.

`Classifier` names the class of a single-object picture; `Segmenter` finds its foreground. Neither ever sees a picture
that the pocket model drew, so they judge it from outside. Both are trained on the CPU in a few minutes and kept in the
work folder (`judges.pt`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scripts.pocket.scenes import BACKGROUNDS, compose_scene, group_by_class
from scripts.pocket.stickers import Sticker, stickers_digest
from scripts.pocket.training import load_checkpoint, save_checkpoint

FEATURES = 128


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Classifier(nn.Module):
    """Half-size pictures [B, 3, 64, 64] in -1…1 → class scores [B, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (24, 48, 96, FEATURES)
        self.body = nn.Sequential(
            *(_block(a, b, 2) for a, b in zip((3, *widths[:-1]), widths, strict=True)), _block(FEATURES, FEATURES)
        )
        self.head = nn.Linear(FEATURES, classes)

    def features(self, pictures: Tensor) -> Tensor:
        """[B, 128]: what the decision is made of."""
        return self.body(pictures).amax(dim=(2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))


class Segmenter(nn.Module):
    """Half-size pictures [B, 3, 64, 64] in -1…1 → foreground logits [B, 64, 64]; a small U-net."""

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 48, 64)
        self.down = nn.ModuleList(_block(a, b, 2) for a, b in zip((3, *widths[:-1]), widths, strict=True))
        self.up = nn.ModuleList(_block(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.last = nn.Conv2d(widths[0] + 3, 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        levels = [pictures]
        for layer in self.down:
            levels.append(layer(levels[-1]))
        x = levels.pop()
        for layer in self.up:
            x = layer(torch.cat([F.interpolate(x, scale_factor=2.0), levels.pop()], dim=1))
        return self.last(torch.cat([F.interpolate(x, scale_factor=2.0), levels.pop()], dim=1))[:, 0]


@dataclass(frozen=True)
class Judges:
    """The trained networks, the class names in the order of the scores, and how good they are on held-out scenes."""

    classifier: Classifier
    segmenter: Segmenter
    classes: tuple[str, ...]
    held_out: dict[str, float]


def as_pictures(images: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] → float32 [B, 3, H/2, W/2] in -1…1."""
    return F.avg_pool2d(torch.tensor(images).permute(0, 3, 1, 2).float(), 2).div(127.5).sub(1)


def render_single(stickers: list[Sticker], count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` single-object scenes, classes in turn: images uint8 [N, 128, 128, 3], class numbers [N], masks bool."""
    groups = group_by_class(stickers)
    names, kinds = tuple(groups), tuple(BACKGROUNDS)
    images = np.empty((count, 128, 128, 3), np.uint8)
    masks = np.empty((count, 128, 128), bool)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        scene = compose_scene(groups, (names[number % len(names)],), kinds[rng.integers(len(kinds))], rng, 128)
        images[number], masks[number] = scene.image, scene.labels > 0
    return images, np.arange(count) % len(names), masks


def _train(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], pictures: Tensor, truth: Tensor) -> None:
    """A few epochs of AdamW. Half of each batch is blurred: edges of drawn pictures are softer than rendered ones."""
    epochs, batch = 6, 32
    per_epoch = len(pictures) // batch
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * per_epoch)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(pictures))
        for chosen in order[: per_epoch * batch].reshape(per_epoch, batch):
            sharp, soft = pictures[chosen].chunk(2)
            soft = F.avg_pool2d(F.pad(soft, (1, 1, 1, 1), mode="replicate"), 3, 1)
            seen = torch.cat([sharp, soft])
            value = loss(model(seen + 0.03 * torch.randn_like(seen)), truth[chosen])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def overlap(masks: np.ndarray, truth: np.ndarray) -> float:
    """Mean over pictures of the IoU of bool [N, H, W] masks; 0 where the mask is empty."""
    return float(np.mean((masks & truth).sum((1, 2)) / np.maximum((masks | truth).sum((1, 2)), 1)))


def segment(segmenter: Segmenter, images: np.ndarray) -> np.ndarray:
    """Foreground, bool [N, H, W], of uint8 [N, H, W, 3]."""
    with torch.no_grad():
        logits = torch.cat([segmenter(part) for part in as_pictures(images).split(32)])
    return (F.interpolate(logits[:, None], scale_factor=2.0, mode="bilinear")[:, 0] > 0).numpy()


def train_judges(stickers: list[Sticker], kept: Path, scenes: int = 2400) -> Judges:
    """Train both networks, or read them from `kept` (`judges.pt`) where they were trained before."""
    classes = tuple(group_by_class(stickers))
    classifier, segmenter = Classifier(len(classes)), Segmenter()
    state = load_checkpoint(kept, torch.device("cpu"))
    art = stickers_digest(stickers)
    if state is not None and state.get("art") == art:
        classifier.load_state_dict(state["classifier"])
        segmenter.load_state_dict(state["segmenter"])
        return Judges(classifier.eval(), segmenter.eval(), classes, state["held_out"])
    torch.manual_seed(0)
    images, labels, masks = render_single(stickers, scenes, seed=101)
    pictures = as_pictures(images)
    _train(classifier, F.cross_entropy, pictures, torch.tensor(labels))
    half_masks = F.avg_pool2d(torch.tensor(masks).float()[:, None], 2)[:, 0]
    _train(segmenter, F.binary_cross_entropy_with_logits, pictures, half_masks)
    images, labels, masks = render_single(stickers, scenes // 6, seed=102)
    with torch.no_grad():
        named = classifier(as_pictures(images)).argmax(1).numpy()
    held_out = {
        "classifier_accuracy": float((named == labels).mean()),
        "segmenter_iou": overlap(segment(segmenter, images), masks),
    }
    save_checkpoint(
        kept,
        {
            "art": art,
            "classifier": classifier.state_dict(),
            "segmenter": segmenter.state_dict(),
            "held_out": held_out,
        },
    )
    return Judges(classifier, segmenter, classes, held_out)
