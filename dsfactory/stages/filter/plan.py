"""What is to be judged, and by what."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dsfactory.core.chain import Input
from dsfactory.core.config import RunSettings
from dsfactory.core.run import Run
from dsfactory.core.words import counted
from dsfactory.errors import UserError
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.folds import assign_folds
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
    """

    samples: list[Sample]
    config: FilterConfig
    classes: tuple[str, ...]
    seed: int
    judged: str
    finished: int
    settings: RunSettings
    run: Run

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
        return cls(samples, config, classes, run.manifest.seed, judged, finished, settings, run)

    def notes(self, run: Run) -> list[str]:
        """What a person should know before the networks are trained."""
        found = []
        if len(self.classes) == 1:
            found.append(f"filter: {self.classes[0]} is the only class: the folds tell it from background only")
        left = run.total - self.finished
        if left:
            found.append(f"filter: {left} samples are not refined yet: filter again when they are")
        return found

    @property
    def labels(self) -> int:
        """Number of labels with background."""
        return len(self.classes) + 1

    @cached_property
    def training(self) -> str:
        """Digest of all that the weights depend on."""
        settings = {"folds": self.config.folds, "segment": self.config.segment.identity()}
        return digest([VERSION, self.judged, self.classes, self.seed, settings])[:16]

    @cached_property
    def fold_of(self) -> list[int]:
        """The fold of each sample."""
        return assign_folds([(sample.key, sample.classes[0]) for sample in self.samples], self.config.folds)
