"""k-fold cross-validation: a segmentation network per fold, trained on the other folds.

Each fold's weights are a file that says which training they come from, so a killed cross-validation goes on where it
was, and a finished one is never trained again.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dsfactory.core.seeds import derive_seed
from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.data import Image, Labels
from dsfactory.segment.network import Segmenter, build_segmenter
from dsfactory.segment.predict import BATCH, predict
from dsfactory.segment.train import train_segmenter
from dsfactory.stages.filter.judge import Probabilities
from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.samples import Sample, stored
from dsfactory.storage.atomic import write_atomic

Step = Callable[[str, int, int], None]
"""Told about progress: what is being done, how much of it is done, and how much there is."""


def weights_path(folder: Path, fold: int) -> Path:
    """Where a fold's trained network is kept."""
    return folder / f"fold-{fold}.safetensors"


def train_folds(plan: Plan, folder: Path, device: torch.device, step: Step) -> None:
    """Train what is missing: network ``k`` on the samples that are not in fold ``k``.

    Args:
        plan: what to do.
        folder: existing folder of the weights; a ``.checkpoint`` in it keeps an unfinished training. Weights of another
            training are replaced.
        device: to train on.
        step: told about progress.

    Raises:
        UserError: the checkpoint that the configuration names cannot be loaded.
    """
    settings = plan.config.segment
    ours = {weights_path(folder, fold) for fold in range(plan.config.folds)}
    for path in {*folder.glob("fold-*.safetensors")} - ours:
        path.unlink()
    for fold in range(plan.config.folds):
        name = f"fold {fold + 1} of {plan.config.folds}"
        if _training_of(weights_path(folder, fold)) == plan.training:
            continue
        rest = [sample for sample, own in zip(plan.samples, plan.fold_of, strict=True) if own != fold]
        seed = derive_seed(plan.seed, "filter", fold)
        model = build_segmenter(plan.labels, settings, seed).to(device)
        # Named after its training, so that no other goes on from it.
        checkpoint = folder / f"fold-{fold}-{plan.training}.checkpoint"
        train_segmenter(
            model, stored(rest), settings, seed, checkpoint=checkpoint,
            report=lambda done, total, name=name: step(name, done, total),  # type: ignore[misc]
        )  # fmt: skip
        weights = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
        write_atomic(weights_path(folder, fold), save(weights, metadata={"training": plan.training}))
        for path in folder.glob("fold-*.checkpoint"):
            path.unlink()


def _training_of(path: Path) -> str | None:
    """Which training a file of weights comes from; None when it is not there or not readable."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("training")
    except (OSError, SafetensorError):
        return None


def load_fold(folder: Path, fold: int, labels: int, config: SegmentConfig, device: torch.device) -> Segmenter:
    """A fold's trained network."""
    model = build_segmenter(labels, config, 0)
    with safe_open(weights_path(folder, fold), framework="pt") as file:
        model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 -- not a mapping
    return model.to(device).eval()


def predictions(
    model: Segmenter, samples: Sequence[Sample], side: int
) -> Iterator[tuple[Image, Labels, Probabilities]]:
    """Each sample's image, its mask and its class probabilities, in order; a batch is in memory at a time."""
    pairs = stored(list(samples))
    for start in range(0, len(pairs), BATCH):
        batch = [pairs[index] for index in range(start, min(start + BATCH, len(pairs)))]
        found = predict(model, [image for image, _ in batch], side)
        for (image, mask), probabilities in zip(batch, found, strict=True):
            yield image, mask, probabilities
