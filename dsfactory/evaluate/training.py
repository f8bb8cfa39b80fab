"""One training with its test: what an evaluation repeats, and what is kept of it."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from dsfactory.core.seeds import derive_seed
from dsfactory.evaluate.config import EvaluateConfig
from dsfactory.evaluate.sources import TrainingSet
from dsfactory.segment.data import Image, LabelledImages
from dsfactory.segment.metrics import Confusion, confusion
from dsfactory.segment.network import Segmenter, build_segmenter
from dsfactory.segment.predict import predict_labels
from dsfactory.segment.train import train_segmenter
from dsfactory.storage.atomic import write_atomic

VERSION = 3
"""Raised whenever the procedure changes its result, so that old and new trainings never mix."""


@dataclass(frozen=True)
class Tested:
    """What a test found.

    Attributes:
        counts: int64 ``(labels, labels)``, see :func:`~dsfactory.segment.metrics.confusion`.
        parts: the same of the images of each condition.
    """

    counts: Confusion
    parts: Mapping[str, Confusion] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A network that is trained on one set and tested on another.

    Attributes:
        name: what it is trained on.
        repeat: number of the repetition; decides the seed.
        data: what it is trained on.
        test: what it is tested on.
        labels: number of classes with background.
        config: the network and how it is trained.
        device: where.
        folder: where its result and its checkpoint are.
        parts: by condition, the places in the test of its images.
    """

    name: str
    repeat: int
    data: TrainingSet
    test: TrainingSet
    labels: int
    config: EvaluateConfig
    device: torch.device
    folder: Path
    parts: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The same for every training set, so that they differ in their images alone."""
        return derive_seed(self.config.seed, "evaluate", self.repeat)

    def run(self, report: Callable[[int, int], None]) -> tuple["Tested", bool]:
        """The test's result, and whether it was made now: a finished training is read, a killed one goes on.

        Args:
            report: called with steps done and in all.

        Returns:
            The test's result; and False if it was there.

        Raises:
            UserError: the segmenter cannot be loaded.
        """
        model = build_segmenter(self.labels, self.config.segment, self.seed)
        mark = self._fingerprint(model)
        path = self.folder / f"{self.name}-{self.repeat}-{mark[:16]}.json"
        found = _read_result(path, mark, self.labels, self.parts)
        if found is not None:
            return found, False
        checkpoint = path.with_suffix(".safetensors")
        model.to(self.device)
        train_segmenter(model, self.data.images, self.config.segment, self.seed, checkpoint=checkpoint, report=report)
        tested = evaluate_segmenter(model, self.test.images, self.labels, self.config.segment.side, self.parts)
        parts = {"parts": {name: counts.tolist() for name, counts in tested.parts.items()}} if tested.parts else {}
        result = {"fingerprint": mark, "confusion": tested.counts.tolist(), **parts}
        write_atomic(path, json.dumps(result, indent=1).encode())
        checkpoint.unlink(missing_ok=True)
        return tested, True

    def _fingerprint(self, model: Segmenter) -> str:
        weights = hashlib.sha256()
        for name, value in model.state_dict(keep_vars=False).items():
            weights.update(name.encode() + value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        content: dict[str, Any] = {
            "version": VERSION,
            "data": self.data.digest,
            "test": self.test.digest,
            "labels": self.labels,
            "segment": self.config.segment.model_dump(mode="json", exclude={"checkpoint"}),
            "weights": weights.hexdigest(),
            "pixels": [model.mean.flatten().tolist(), model.std.flatten().tolist()],
            "seed": self.seed,
            "device": self.device.type,
            "versions": versions(),
            **({"parts": {name: list(places) for name, places in self.parts.items()}} if self.parts else {}),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of the libraries that decide a training's result."""
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def evaluate_segmenter(
    model: Segmenter,
    data: LabelledImages,
    labels: int,
    side: int,
    parts: Mapping[str, Sequence[int]],
) -> Tested:
    """Test a network on labelled images, at the images' own size.

    Args:
        model: a trained network.
        data: label ids below ``labels``, 255 is left out.
        labels: number of classes with background.
        side: longer side to which images are scaled for the network.
        parts: by condition, the places of its images.

    Returns:
        Pixels of the true class (row) that were given a class (column).
    """
    counts = np.zeros((labels, labels), np.int64)
    by_part = {name: np.zeros((labels, labels), np.int64) for name in parts}
    inside = {name: frozenset(places) for name, places in parts.items()}
    for index, given in enumerate(predict_labels(model, _Images(data), side)):
        found = confusion(data[index][1], given, labels)
        counts += found
        for name, places in inside.items():
            if index in places:
                by_part[name] += found
    return Tested(counts, by_part)


class _Images:
    """The images of labelled images."""

    def __init__(self, data: LabelledImages) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Image:
        return self._data[index][0]


def _read_result(path: Path, mark: str, labels: int, parts: Collection[str]) -> Tested | None:
    """A finished training's result; None when there is none, or what is there is not one."""
    try:
        content = json.loads(path.read_bytes())
        counts = np.array(content["confusion"], dtype=np.int64)
        by_part = {name: np.array(content["parts"][name], dtype=np.int64) for name in parts}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    fits = all(one.shape == (labels, labels) for one in (counts, *by_part.values()))
    return Tested(counts, by_part) if content["fingerprint"] == mark and fits else None
