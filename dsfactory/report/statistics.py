"""Counts over all samples of a run, in memory that does not grow with them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dsfactory.report.sample import Sample, State

BINS = 200
"""Fine enough for quantiles to half a percent; plots join bins."""

MAX_REASONS = 1000
"""Distinct reasons that are counted apart; a run made by someone else could have one per sample."""
OTHER_REASONS = "other reasons"


class Histogram:
    """Counts of values in [0, 1] in :data:`BINS` equal bins; None is not counted."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64)
        self._sum = 0.0

    def add(self, value: float | None) -> None:
        if value is not None:
            place = min(max(value, 0.0), 1.0)
            self.counts[min(int(place * BINS + 1e-4), BINS - 1)] += 1
            self._sum += place

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float | None:
        return self._sum / self.total if self.total else None

    def quantile(self, share: float) -> float | None:
        """The value below which this share lies, to half a bin; None when nothing was counted."""
        if not self.total:
            return None
        index = int(np.searchsorted(self.counts.cumsum(), max(share * self.total, 1)))
        return (index + 0.5) / BINS

    @property
    def median(self) -> float | None:
        return self.quantile(0.5)

    def share_below(self, value: float) -> float:
        """Share of what was counted that lies below ``value``, a multiple of a bin's width."""
        return float(self.counts[: round(value * BINS)].sum() / self.total) if self.total else 0.0


@dataclass
class ClassStatistics:
    """One class.

    Attributes:
        states: its samples (those that asked for it first) by what became of them.
        agreement, area: of its masks, in every sample that asked for it.
        objects: connected parts of its masks.
    """

    name: str
    states: Counter[State] = field(default_factory=Counter)
    agreement: Histogram = field(default_factory=Histogram)
    area: Histogram = field(default_factory=Histogram)
    objects: int = 0

    @property
    def total(self) -> int:
        return self.states.total()

    @property
    def keep_share(self) -> float | None:
        """Kept samples among those that were decided on; None when none was."""
        decided = self.total - self.states["drawn"] - self.states["planned"]
        return self.states["kept"] / decided if decided else None


class Statistics:
    """Counts over a run; feed it every sample once.

    Attributes:
        states: samples by what became of them.
        classes: per class, in label order.
        domains: by class and domain, samples by what became of them; empty for a run without domains.
        sources: prompts by the kind of their source; none of pictures that were given.
        reasons: ``(state, reason)`` of samples that are not in the dataset.
        threshold, agreement, area: over all masks, one value per class and sample.
    """

    def __init__(self, classes: Sequence[str], pictures_given: bool = False) -> None:
        self._pictures_given = pictures_given
        self.states: Counter[State] = Counter()
        self.classes = {name: ClassStatistics(name) for name in classes}
        self.domains: dict[tuple[str, str], Counter[State]] = defaultdict(Counter)
        self.sources: Counter[str] = Counter()
        self.reasons: Counter[tuple[State, str]] = Counter()
        self.threshold, self.agreement, self.area = Histogram(), Histogram(), Histogram()

    @property
    def total(self) -> int:
        return self.states.total()

    @property
    def labelled(self) -> bool:
        """Some samples have been through a stage that gives labels."""
        return any(self.states[state] for state in ("kept", "dropped", "rejected"))

    def add(self, sample: Sample) -> None:
        state = sample.state
        self.states[state] += 1
        self.classes[sample.class_name].states[state] += 1
        if sample.domain:
            self.domains[sample.class_name, sample.domain][state] += 1
        if not self._pictures_given:
            self.sources[source_kind(sample.source)] += 1
        if state not in ("kept", "drawn", "planned"):
            reason = (state, sample.why)
            known = reason in self.reasons or len(self.reasons) < MAX_REASONS
            self.reasons[reason if known else (state, OTHER_REASONS)] += 1
        for position, name in enumerate(sample.classes):
            self._add_mask(sample, position, self.classes[name])

    def _add_mask(self, sample: Sample, position: int, of_class: ClassStatistics) -> None:
        if sample.area is None or not sample.area[position]:
            return  # there is no mask of this class
        area = sample.area[position]
        agreement = sample.agreement[position] if sample.agreement else None
        of_class.area.add(area)
        of_class.agreement.add(agreement)
        of_class.objects += sample.components[position] if sample.components else 0
        self.area.add(area)
        self.agreement.add(agreement)
        self.threshold.add(sample.threshold[position] if sample.threshold else None)


def source_kind(source: str) -> str:
    """``"coco-val2017"`` of ``"coco-val2017:1234#2"``: where a prompt comes from, without its place there."""
    return source.partition(":")[0].partition("#")[0][:40]
