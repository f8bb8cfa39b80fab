"""k-fold cross-validation: a segmentation network per fold, trained on the other folds.

Each fold's weights are a file that says which training they come from, so a killed cross-validation goes on where it
was, and a finished one is never trained again.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dsfactory.core.seeds import derive_seed
from dsfactory.core.stage import Reporter
from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.data import Image, LabelledImages, Labels
from dsfactory.segment.network import Segmenter, build_segmenter
from dsfactory.segment.predict import BATCH, predict
from dsfactory.segment.train import train_segmenter
from dsfactory.stages.filter.judge import Probabilities
from dsfactory.stages.filter.note import damaged_files
from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.samples import Sample, stored
from dsfactory.storage.atomic import write_atomic


def weights_path(folder: Path, fold: int) -> Path:
    """Where a fold's trained network is kept."""
    return folder / f"fold-{fold}.safetensors"


def remove_other_folds(plan: Plan, folder: Path) -> None:
    """Delete networks of folds that the plan does not have."""
    ours = {weights_path(folder, fold) for fold in range(plan.folds)}
    for path in {*folder.glob("fold-*.safetensors")} - ours:
        path.unlink()


def remove_checkpoints(folder: Path) -> None:
    """Delete what finished trainings went on from: a kill may come after a fold's network is there and before that."""
    for path in folder.glob("fold-*.checkpoint"):
        path.unlink()


def untrained_folds(plan: Plan, folder: Path) -> list[int]:
    """The folds whose network is not there, is damaged, or comes from another training."""
    damaged = damaged_files(plan, folder)
    paths = [weights_path(folder, fold) for fold in range(plan.folds)]
    return [fold for fold, path in enumerate(paths) if _training_of(path) != plan.training or path.name in damaged]


def train_fold(plan: Plan, folder: Path, fold: int, device: torch.device, step: Reporter) -> None:
    """Train the network of a fold on the samples that are not in it.

    Args:
        plan: what to do.
        folder: existing folder of the weights; a ``.checkpoint`` in it keeps an unfinished training. Weights of another
            training are replaced.
        fold: which one, from 0.
        device: to train on.
        step: told about progress.

    Raises:
        UserError: the checkpoint that the configuration names cannot be loaded.
    """
    settings = plan.config.segment
    name = plan.part(fold)
    rest = [sample for sample, own in zip(plan.samples, plan.fold_of, strict=True) if own != fold]
    data: LabelledImages = stored(rest) if plan.real is None else plan.real.train
    seed = derive_seed(plan.seed, "filter", fold)
    model = build_segmenter(plan.labels, settings, seed).to(device)
    # Named after its training, so that no other goes on from it.
    checkpoint = folder / f"fold-{fold}-{plan.training}.checkpoint"
    train_segmenter(
        model, data, settings, seed, checkpoint=checkpoint, report=lambda done, total: step(name, done, total)
    )
    weights = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
    write_atomic(weights_path(folder, fold), save(weights, metadata={"training": plan.training}))
    for path in folder.glob(f"fold-{fold}-*.checkpoint"):
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
