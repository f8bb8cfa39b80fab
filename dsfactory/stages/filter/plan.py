"""What is to be judged, and by what."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dsfactory.core.chain import Input
from dsfactory.core.config import RunSettings
from dsfactory.core.run import Run
from dsfactory.core.words import counted
from dsfactory.errors import UserError
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.folds import assign_folds
from dsfactory.stages.filter.real import RealSet
from dsfactory.stages.filter.samples import Sample, read_samples
from dsfactory.stages.filter.scores import digest

VERSION = 3
"""Raised when the training or the scores change."""


@dataclass(frozen=True)
class Plan:
    """What is to be judged, and by what: decided before any training.

    Attributes:
        samples: with their masks.
        config: of the filter.
        classes: names of the run's classes.
        seed: of the run.
        judged: digest of the shards that hold the samples.
        finished: samples in the shards that have labels.
        settings: of the run, for witnesses that need its model.
        run: the run.
        real: a real set that judges in place of the folds.
    """

    samples: list[Sample]
    config: FilterConfig
    classes: tuple[str, ...]
    seed: int
    judged: str
    finished: int
    settings: RunSettings
    run: Run
    real: RealSet | None = None

    @classmethod
    def of_run(cls, run: Run, config: FilterConfig, inputs: Sequence[Input], settings: RunSettings) -> "Plan":
        """The plan for what a run holds now.

        Args:
            run: the run.
            config: of the filter.
            inputs: the stages of its images and of its labels, or the one of both.
            settings: of the run.

        Raises:
            DamagedShard: a shard cannot be read.
            UserError: there are too few samples.
        """
        images, labels = inputs[0].kind.folder, inputs[-1].kind.folder
        samples, judged = read_samples(run, images, labels)
        finished = sum(len(spec) for spec in run.finished(labels))
        if len(samples) < config.folds:
            raise UserError(
                f"{run.path} has {counted(len(samples), 'sample')} with a mask, fewer than the {config.folds} folds: "
                "draw more with 'dsfactory generate', or use fewer --folds"
            )
        classes = tuple(item.name for item in run.manifest.classes)
        real = RealSet.open(Path(config.real), run.manifest.classes) if config.real else None
        return cls(samples, config, classes, run.manifest.seed, judged, finished, settings, run, real)

    def notes(self, run: Run) -> list[str]:
        """What a person should know before the networks are trained."""
        found = self.real.notes() if self.real else []
        if len(self.classes) == 1 and not self.real:
            found.append(f"filter: {self.classes[0]} is the only class: the folds tell it from background only")
        left = run.total - self.finished
        if left:
            found.append(f"filter: {left} samples are not refined yet: filter again when they are")
        return found

    @property
    def folds(self) -> int:
        """How many networks judge: one per fold, or that of the real set."""
        return 1 if self.real else self.config.folds

    def part(self, fold: int) -> str:
        """What the training of a network is called."""
        return "real 1 of 1" if self.real else f"fold {fold + 1} of {self.config.folds}"

    @property
    def labels(self) -> int:
        """Number of labels with background."""
        return len(self.classes) + 1

    @cached_property
    def training(self) -> str:
        """Digest of all that the weights depend on."""
        settings: dict[str, Any] = {"folds": self.config.folds, "segment": self.config.segment.identity()}
        if self.real is not None:  # whatever samples it judges, its network is the same; their scores are not
            settings["folds"] = self.real.digest
        return digest([VERSION, self.judged, self.classes, self.seed, settings])[:16]

    @cached_property
    def fold_of(self) -> list[int]:
        """The fold of each sample."""
        if self.real is not None:
            return [0] * len(self.samples)
        return assign_folds([(sample.key, sample.classes[0]) for sample in self.samples], self.config.folds)
