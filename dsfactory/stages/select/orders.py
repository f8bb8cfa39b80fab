"""Orders of choice: the first n of each are its choice for n."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Item = TypeVar("Item")

BLOCK = 64
"""Candidates whose gain is computed at once: memory is this many times the clients."""
CLIENTS = 4096
"""Of more clients, every second, third … one stands for all."""


def facility_location(candidates: Vectors, clients: Vectors, num: int) -> list[int]:
    """Choose candidates that stand for the clients: the sum over clients of the likeness to the nearest chosen one.

    Greedy with lazy gains (Minoux 1978): within 1 − 1/e of the best choice (Nemhauser et al. 1978). Gains only fall
    as more is chosen, so a candidate whose old gain is below the best new one need not be looked at again.

    Args:
        candidates: float32 ``(candidates, features)``, of length 1 each.
        clients: float32 ``(clients, features)``, of length 1 each.
        num: how many to choose.

    Returns:
        Positions of candidates, best first; at most ``num`` and no more than there are. Likeness is the cosine, at
        least 0.
    """
    count = len(candidates)
    if not count:
        return []
    clients = clients[:: -(-len(clients) // CLIENTS)]

    def likeness(places: NDArray[np.int64] | slice) -> Vectors:
        found: Vectors = np.maximum(clients @ candidates[places].T, 0)
        return found

    covered = np.zeros(len(clients), np.float32)
    gains = np.concatenate(
        [likeness(slice(start, start + BLOCK)).sum(axis=0, dtype=np.float64) for start in range(0, count, BLOCK)]
    )
    fresh = np.zeros(count, np.int64)
    chosen: list[int] = []
    while len(chosen) < min(num, count):
        best = int(gains.argmax())
        if fresh[best] != len(chosen):
            top = np.argpartition(-gains, min(BLOCK, count) - 1)[:BLOCK]
            stale = top[(fresh[top] != len(chosen)) & np.isfinite(gains[top])]
            alike = likeness(stale)
            gains[stale] = np.maximum(alike - covered[:, None], 0).sum(axis=0, dtype=np.float64)
            fresh[stale] = len(chosen)
            continue
        chosen.append(best)
        covered = np.maximum(covered, likeness(np.array([best]))[:, 0])
        gains[best] = -np.inf
    return chosen


def bisecting_clusters(vectors: Vectors, num: int) -> list[int]:
    """The middles of ever smaller groups: the group with the largest spread is split in two, again and again.

    Bisecting 2-means (Steinbach et al. 2000). Of the two halves the one with the old middle keeps it, the other's
    middle is the next choice: so the order is nested, which k-means is not.

    Args:
        vectors: float32 ``(samples, features)``.
        num: how many to choose.

    Returns:
        Positions, at most ``num``: first the middle of all.
    """
    if not len(vectors):
        return []
    everything = np.arange(len(vectors))
    chosen = [_middle(vectors, everything)]
    groups = [(everything, chosen[0], _spread(vectors[everything]))]
    while len(chosen) < min(num, len(vectors)):
        largest = max(range(len(groups)), key=lambda place: (groups[place][2], len(groups[place][0])))
        members, middle, spread = groups.pop(largest)
        inside = _halves(vectors[members]) if spread > 0 else np.arange(len(members)) % 2 == 0
        one, other = members[inside], members[~inside]
        if middle not in one:
            one, other = other, one
        chosen.append(_middle(vectors, other))
        groups += [(one, middle, _spread(vectors[one])), (other, chosen[-1], _spread(vectors[other]))]
    return chosen


def turns(sizes: Sequence[int], num: int) -> list[int]:
    """How many of each order :func:`in_turn` takes, from their lengths."""
    taken = [0] * len(sizes)
    while num > 0 and (open_ones := [place for place, size in enumerate(sizes) if taken[place] < size]):
        step = max(1, min(num // len(open_ones), min(sizes[place] - taken[place] for place in open_ones)))
        for place in open_ones[:num]:
            taken[place] += step
            num -= step
    return taken


def in_turn(orders: Sequence[Sequence[Item]], num: int) -> list[Item]:
    """One of each order in turn, at most ``num``; those that have no more are passed over."""
    longest = max(map(len, orders), default=0)
    return [order[place] for place in range(longest) for order in orders if place < len(order)][:num]


def _middle(vectors: Vectors, members: NDArray[np.int64]) -> int:
    own = vectors[members]
    return int(members[np.square(own - own.mean(axis=0)).sum(axis=1).argmin()])


def _spread(vectors: Vectors) -> float:
    """Sum of squared distances from the mean; 0 for a group that cannot be split."""
    return float(np.square(vectors - vectors.mean(axis=0)).sum()) if len(vectors) > 1 else -1.0


def _halves(vectors: Vectors, rounds: int = 10) -> NDArray[np.bool_]:
    """Which of them belong to one half by 2-means, from the two that lie furthest out. Neither half is empty."""
    far = int(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).argmax())
    opposite = int(np.square(vectors - vectors[far]).sum(axis=1).argmax())
    centres = vectors[[far, opposite]]
    inside = np.zeros(len(vectors), bool)
    for _ in range(rounds):
        # |v − a|² < |v − b|², without the term that both have
        now = vectors @ (centres[0] - centres[1]) > (centres[0] @ centres[0] - centres[1] @ centres[1]) / 2
        if now.all() or not now.any() or (now == inside).all():
            break
        inside = now
        centres = np.stack([vectors[inside].mean(axis=0), vectors[~inside].mean(axis=0)])
    if inside.all() or not inside.any():
        inside = np.arange(len(vectors)) == far
    return inside
