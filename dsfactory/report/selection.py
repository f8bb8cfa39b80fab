"""Which samples the gallery shows when a run has more than a page should hold."""

import hashlib
import heapq
from collections import defaultdict
from dataclasses import dataclass

from dsfactory.core.shard import ShardSpec
from dsfactory.report.sample import Sample

_Entry = tuple[float, int, str, ShardSpec]


class _Smallest:
    """Keeps the entries of lowest rank among all that were offered, ``size`` of them at most."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[_Entry] = []  # negated, for heapq keeps the smallest on top

    def offer(self, rank: float, tie: int, key: str, spec: ShardSpec) -> None:
        entry = (-rank, -tie, key, spec)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> list[tuple[str, ShardSpec]]:
        return [(key, spec) for _, _, key, spec in sorted(self._heap, key=lambda entry: (-entry[0], -entry[1]))]


@dataclass(frozen=True)
class Chosen:
    """What the gallery shows.

    Attributes:
        keys: per shard the keys of its chosen samples.
        worst: how many were chosen for a low agreement; None when all samples are shown.
        refused: how many were chosen among the rejected, failed and dropped; None when all samples are shown.
        random: how many were chosen at random among all; None when all samples are shown.
    """

    keys: dict[ShardSpec, list[str]]
    worst: int | None = None
    refused: int | None = None
    random: int | None = None

    def __len__(self) -> int:
        return sum(len(keys) for keys in self.keys.values())


class Selection:
    """Choose at most ``limit`` samples: a third with the lowest agreement, a sixth of those that are not in the
    dataset, the rest at random, so that the gallery shows what is wrong and what is usual.

    Chance is a hash of the key (BLAKE2b), so the same run gives the same choice, and a larger one changes few.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._worst = _Smallest(limit // 3)
        self._refused = _Smallest(limit // 6)
        self._random = _Smallest(limit)
        self._total = 0

    def offer(self, spec: ShardSpec, sample: Sample) -> None:
        self._total += 1
        digest = hashlib.blake2b(sample.key.encode(), digest_size=8, person=b"dsf-report").digest()
        chance = int.from_bytes(digest, "big")
        self._random.offer(0.0, chance, sample.key, spec)
        if sample.state in ("rejected", "failed", "dropped"):
            self._refused.offer(0.0, chance, sample.key, spec)
        elif sample.score is not None:
            self._worst.offer(sample.score, chance, sample.key, spec)

    def choose(self) -> Chosen:
        if self._total <= self._limit:
            return Chosen(_by_shard(self._random.ranked()))
        worst, refused = self._worst.ranked(), self._refused.ranked()
        chosen = dict(worst + refused)
        for key, spec in self._random.ranked():
            if len(chosen) == self._limit:
                break
            chosen.setdefault(key, spec)
        return Chosen(
            _by_shard(list(chosen.items())), len(worst), len(refused), self._limit - len(worst) - len(refused)
        )


def _by_shard(chosen: list[tuple[str, ShardSpec]]) -> dict[ShardSpec, list[str]]:
    keys: defaultdict[ShardSpec, list[str]] = defaultdict(list)
    for key, spec in sorted(chosen, key=lambda item: item[0]):
        keys[spec].append(key)
    return dict(sorted(keys.items(), key=lambda item: item[0].index))
