"""From scores to verdicts: which samples are kept, and why the others are not."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.duplicates import near_duplicates
from dsfactory.stages.filter.scores import Score

REASONS = {
    "area": "the labelled share of the image is out of limits",
    "unseen": "the class is not to be seen in the image",
    "iou": "the label disagrees with what the other folds learnt",
    "quality": "too many pixels carry an unlikely label",
    "duplicate": "the image nearly repeats another",
}
"""Reasons to drop a sample, in the order in which they are looked at."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a sample.

    Attributes:
        reason: why it is dropped, a key of ``REASONS``; empty for one that is kept.
        duplicate_of: key of the sample that it repeats, if that is the reason.
        rank: its place within its class by agreement, from 0 (worst) to 1 (best).
    """

    reason: str
    duplicate_of: str
    rank: float

    @property
    def kept(self) -> bool:
        return not self.reason


def decide(scores: Sequence[Score], config: FilterConfig) -> list[Verdict]:
    """Judge every sample; depends on nothing but the arguments.

    Scores are compared with the median of their class, for some classes are harder than others and some networks
    weaker: what is normal for a class is never a reason to drop.

    Args:
        scores: of all samples.
        config: the rules.

    Returns:
        A verdict per sample, in the order given.
    """
    standing = standings(scores)
    ranks = _ranks(scores, standing)
    evidence = _relative([score.evidence[0] for score in scores], scores)
    quality = _relative([score.quality for score in scores], scores)
    reasons = []
    for index, score in enumerate(scores):
        if score.area[0] < config.min_area or score.labelled > config.max_area:
            reasons.append("area")
        elif evidence[index] < config.min_evidence or min(score.similarity, default=1.0) < config.min_similarity:
            reasons.append("unseen")
        elif config.keep != "auto":
            reasons.append("" if ranks[index] > 1 - config.keep + 1e-9 else "iou")
        elif standing[index] < config.min_agreement:
            reasons.append("iou")
        else:
            reasons.append("quality" if quality[index] < config.min_quality else "")
    kept = [index for index, reason in enumerate(reasons) if not reason]
    best_first = sorted(kept, key=lambda index: (-ranks[index], index))
    repeats = near_duplicates([score.hash for score in scores], best_first, config.duplicate_distance)
    return [
        Verdict("duplicate", scores[repeats[index]].key, ranks[index]) if index in repeats
        else Verdict(reasons[index], "", ranks[index])
        for index in range(len(scores))
    ]  # fmt: skip


def standings(scores: Iterable[Score]) -> list[float]:
    """How well each sample's labels agree with what the others taught, 1 being usual for the class.

    Per class of the sample the confident IoU over the class's median; of its classes the worst, for one wrong object
    makes a wrong mask. A class that neither label nor network finds has no say.
    """
    scores = list(scores)
    values = defaultdict(list)
    for score in scores:
        for name, iou in zip(score.classes, score.confident_iou, strict=True):
            if iou is not None:
                values[name].append(iou)
    median = {name: float(np.median(found)) for name, found in values.items()}
    return [
        min(
            (
                iou / median[name]
                for name, iou in zip(score.classes, score.confident_iou, strict=True)
                if iou is not None and median[name] > 0
            ),
            default=1.0,
        )
        for score in scores
    ]


def _relative(values: Sequence[float], scores: Sequence[Score]) -> list[float]:
    """Values over the median of the samples with the same first class."""
    median = {
        name: float(np.median([value for value, score in zip(values, scores, strict=True) if score.classes[0] == name]))
        for name in {score.classes[0] for score in scores}
    }
    return [
        value / median[score.classes[0]] if median[score.classes[0]] > 0 else 1.0
        for value, score in zip(values, scores, strict=True)
    ]


def _ranks(scores: Sequence[Score], standing: Sequence[float]) -> list[float]:
    """Place of each sample among those with its first class: the share of them that it is better than, 1 for the best.

    Equal standing (the network contradicts nothing) is told apart by the plain IoU.
    """
    members = defaultdict(list)
    for index, score in enumerate(scores):
        members[score.classes[0]].append(index)
    ranks = [0.0] * len(scores)
    for indices in members.values():
        order = sorted(indices, key=lambda index: (standing[index], _mean(scores[index].iou), -index))
        for place, index in enumerate(order):
            ranks[index] = (place + 1) / len(order)
    return ranks


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 1.0
