"""What is to be judged, and by what."""

from dataclasses import dataclass
from functools import cached_property

from dsfactory.core.run import Run
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.folds import assign_folds
from dsfactory.stages.filter.samples import Sample, read_samples
from dsfactory.stages.filter.scores import digest

VERSION = 2
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
    """

    samples: list[Sample]
    config: FilterConfig
    classes: tuple[str, ...]
    seed: int
    judged: str

    @classmethod
    def of_run(cls, run: Run, config: FilterConfig) -> "Plan":
        """The plan for what a run holds now.

        Raises:
            DamagedShard: a shard cannot be read.
        """
        samples, judged = read_samples(run)
        return cls(samples, config, tuple(item.name for item in run.manifest.classes), run.manifest.seed, judged)

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
