"""From scores to verdicts: which samples are kept, and why the others are not."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsfactory.embed.duplicates import near_duplicates
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.scores import WITNESSES, Score

REASONS = {
    "area": "the labelled share of the image is out of limits",
    "unseen": "the class is not to be seen in the image",
    "iou": "the label disagrees with what the other folds learnt",
    "quality": "too many pixels carry an unlikely label",
    "witness": "a second witness sees the object elsewhere",
    "duplicate": "the image nearly repeats another",
    "copy": "the image is a copy of one in the folder of --avoid",
}
"""Reasons to drop a sample, in the order in which they are looked at."""


_NONE: Mapping[str, str] = {}
LEAST = 10
"""Samples of a class in a domain from which they have medians of their own; those of smaller cells are the class's."""

Cell = tuple[str, str]
"""A class, and a domain; empty for all domains together."""

HARDLY_LEARNT = 0.3
"""Median IoU of a class with the out-of-fold predictions below which the networks have no say about it."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a sample.

    Attributes:
        reason: why it is dropped, a key of ``REASONS``; empty for one that is kept.
        duplicate_of: key of the sample that it repeats, if that is the reason.
        rank: its place within its class by agreement, from 0 (worst) to 1 (best).
        decided: the score that decided and its limit, in words; empty for a sample that is kept.
    """

    reason: str
    duplicate_of: str
    rank: float
    decided: str = ""

    @property
    def kept(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Norms:
    """What is usual for the classes of a run.

    Attributes:
        learnt: median IoU of each class with the out-of-fold predictions.
        confident_iou: median of each class that the networks have learnt, and of its cells.
        evidence, quality: median of the samples that count for a class, and of those of its cells.
        witness: median agreement of each class with each witness that was heard, by the witness's column.
    """

    learnt: Mapping[str, float]
    confident_iou: Mapping[Cell, float]
    evidence: Mapping[Cell, float]
    quality: Mapping[Cell, float]
    witness: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, scores: Sequence[Score]) -> "Norms":
        iou = defaultdict[str, list[float]](list)
        confident, evidence, quality = (defaultdict[Cell, list[float]](list) for _ in range(3))
        for score in scores:
            for domain in {"", score.domain}:
                evidence[score.classes[0], domain].append(score.evidence[0])
                quality[score.classes[0], domain].append(score.quality)
                for name, value in zip(score.classes, score.confident_iou, strict=True):
                    if value is not None:
                        confident[name, domain].append(value)
            for name, value in zip(score.classes, score.iou, strict=True):
                if value is not None:
                    iou[name].append(value)
        heard = {column: defaultdict[str, list[float]](list) for column in WITNESSES}
        for score in scores:
            for column, found in heard.items():
                for name, value in zip(score.classes, getattr(score, column), strict=False):
                    if value is not None:
                        found[name].append(value)
        learnt = _plain_medians(iou)
        confident_iou = {cell: value for cell, value in _medians(confident).items() if cell[0] not in _hardly(learnt)}
        witness = {column: _plain_medians(found) for column, found in heard.items()}
        return cls(learnt, confident_iou, _medians(evidence), _medians(quality), witness)

    @property
    def hardly_learnt(self) -> list[str]:
        """Classes of which the networks know too little to have a say."""
        return _hardly(self.learnt)

    def standing(self, score: Score) -> tuple[float, str]:
        """How well a sample's labels agree with what the others taught, 1 being usual, and the class that says so.

        Per class of the sample the confident IoU over the median of the class in its domain; of its classes the
        worst, for one wrong object makes a wrong mask. A class that neither label nor network finds, or that the
        networks hardly learnt, has no say.
        """
        known = [
            (iou / usual, name)
            for name, iou in zip(score.classes, score.confident_iou, strict=True)
            if iou is not None and (usual := usual_of(self.confident_iou, name, score)) > 0
        ]
        return min(known, default=(1.0, ""))


def usual_of(medians: Mapping[Cell, float], name: str, score: Score) -> float:
    """What is usual for a class where a sample was asked for: in its domain, else in all; 0 for an unknown class."""
    return medians.get((name, score.domain), medians.get((name, ""), 0.0))


def _plain_medians(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.median(found)) for name, found in values.items()}


def _medians(values: Mapping[Cell, Sequence[float]]) -> dict[Cell, float]:
    large = {cell: found for cell, found in values.items() if not cell[1] or len(found) >= LEAST}
    return {cell: float(np.median(found)) for cell, found in large.items()}


def _hardly(learnt: Mapping[str, float]) -> list[str]:
    return [name for name, iou in learnt.items() if iou < HARDLY_LEARNT]


def decide(scores: Sequence[Score], config: FilterConfig, copies: Mapping[str, str] = _NONE) -> list[Verdict]:
    """Judge every sample; depends on nothing but the arguments.

    Scores are compared with the median of their class (in their domain, where a run has some), for some classes are
    harder than others and some networks weaker: what is normal for a class, or by night, is never a reason to drop.
    Nor is what networks say of a class that they hardly learnt, except for the share that ``config.keep`` asks for.

    Args:
        scores: of all samples.
        config: the rules.
        copies: of images that are to be avoided, by key, with what is to be said of each.

    Returns:
        A verdict per sample, in the order given.
    """
    norms = Norms.of(scores)
    ranks = _ranks(scores, norms)
    found = [
        ("copy", copies[score.key]) if score.key in copies else _reason(score, rank, norms, config)
        for score, rank in zip(scores, ranks, strict=True)
    ]
    kept = [index for index, (reason, _) in enumerate(found) if not reason]
    best_first = sorted(kept, key=lambda index: (-ranks[index], index))
    repeats = near_duplicates([score.hash for score in scores], best_first, config.duplicate_distance)
    return [
        Verdict("duplicate", key := scores[repeats[index]].key, ranks[index], f"it repeats {key}") if index in repeats
        else Verdict(found[index][0], "", ranks[index], found[index][1])
        for index in range(len(scores))
    ]  # fmt: skip


def _reason(score: Score, rank: float, norms: Norms, config: FilterConfig) -> tuple[str, str]:
    """Why a sample goes, by itself, and the score that decides; two empty texts for one that may stay."""
    first = score.classes[0]
    if score.area[0] < config.min_area:
        return "area", f"{first} covers {score.area[0]:.1%}, at least {config.min_area:.1%} is asked for"
    if score.labelled > config.max_area:
        return "area", f"objects cover {score.labelled:.0%}, at most {config.max_area:.0%} is asked for"
    unknown = norms.hardly_learnt
    least = config.min_evidence * usual_of(norms.evidence, first, score)
    if score.evidence[0] < least and first not in unknown:
        return "unseen", f"evidence of {first} {score.evidence[0]:.2f}, limit {least:.2f}"
    if min(score.similarity, default=1.0) < config.min_similarity:
        worst, name = min(zip(score.similarity, score.classes, strict=True))
        return "unseen", f"CLIP's probability of {name} {worst:.2f}, limit {config.min_similarity:.2f}"
    standing, name = norms.standing(score)
    if config.keep != "auto":
        limit = 1 - config.keep
        return ("", "") if rank > limit + 1e-9 else ("iou", f"rank {rank:.2f} within {first}, limit {limit:.2f}")
    if standing < config.min_agreement:
        usual = usual_of(norms.confident_iou, name, score)
        return "iou", f"confident IoU of {name} {standing * usual:.2f}, limit {config.min_agreement * usual:.2f}"
    least = config.min_quality * usual_of(norms.quality, first, score)
    if score.quality < least and not {*score.classes} & {*unknown}:
        return "quality", f"label quality {score.quality:.2f}, limit {least:.2f}"
    for column, medians in norms.witness.items():
        for name, value in zip(score.classes, getattr(score, column), strict=False):
            if value is not None and value < (least := config.min_witness * medians[name]):
                return "witness", f"{column.removeprefix('agree_')} agrees {value:.2f} on {name}, limit {least:.2f}"
    return "", ""


def _ranks(scores: Sequence[Score], norms: Norms) -> list[float]:
    """Place of each sample among those with its first class and domain: the share that it is better than, 1 at best.

    Equal standing (the network contradicts nothing) is told apart by the plain IoU.
    """
    members = defaultdict(list)
    for index, score in enumerate(scores):
        members[score.classes[0], score.domain].append(index)
    ranks = [0.0] * len(scores)
    for indices in members.values():
        order = sorted(indices, key=lambda index: (norms.standing(scores[index])[0], _mean(scores[index].iou), -index))
        for place, index in enumerate(order):
            ranks[index] = (place + 1) / len(order)
    return ranks


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 1.0
