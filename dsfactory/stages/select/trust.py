"""How far the labels of samples are trusted, from the scores that their rows have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OF_LABEL = ("agreement", "peak", "claim")
"""Columns of labelers, a value per class: the higher, the surer. They do not ask a network that learnt from labels."""

OF_JUDGE = ("rank", "quality")
"""Columns of the filter."""


def trust_of(
    rows: Sequence[Mapping[str, Any]], groups: Sequence[str], columns: Sequence[str]
) -> NDArray[np.float64] | None:
    """The trust in each sample's label: its mean place in its group over the scores that it has.

    Scores of two kinds, or of two classes, cannot be compared; places can.

    Args:
        rows: of the samples.
        groups: what each is compared within, such as its class.
        columns: the scores.

    Returns:
        float64 ``(samples,)`` in [0, 1], 1 for the best of its group; None when no row has any of the columns.
    """
    scores = np.array([[_score(row, name) for name in columns] for row in rows], dtype=np.float64)
    scores = scores.reshape(len(rows), len(columns))
    scores = scores[:, ~np.isnan(scores).all(axis=0)]
    if not scores.size:
        return None
    places = np.full(scores.shape, np.nan)
    for group in {*groups}:
        members = np.flatnonzero([one == group for one in groups])
        for column in range(scores.shape[1]):
            known = members[~np.isnan(scores[members, column])]
            _, same, counts = np.unique(scores[known, column], return_inverse=True, return_counts=True)
            # equal scores share the best of their places
            places[known, column] = np.cumsum(counts)[same] / max(1, len(known))
    known_places = ~np.isnan(places)
    total = np.where(known_places, places, 0).sum(axis=1)
    found: NDArray[np.float64] = np.where(known_places.any(axis=1), total / np.maximum(known_places.sum(axis=1), 1), 0)
    return found


def _score(row: Mapping[str, Any], name: str) -> float:
    """The worst of the classes that the label shows: one wrong object makes a wrong mask. NaN where nothing is said."""
    value = row.get(name)
    if not isinstance(value, list):
        return float(value) if isinstance(value, int | float) else float("nan")
    areas = row.get("area") or [1.0] * len(value)
    shown = [one for one, area in zip(value, areas, strict=False) if one is not None and area]
    return float(min(shown, default=float("nan")))
