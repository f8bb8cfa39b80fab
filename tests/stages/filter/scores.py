"""Scores as a cross-validation would give them."""

from typing import Any

import numpy as np

from dsfactory.core.sample import sample_key
from dsfactory.stages.filter.scores import Score


def score(number: int, **changes: Any) -> Score:
    """A sample that nothing is wrong with; its image repeats no other."""
    values = {
        "key": sample_key(number), "number": number, "classes": ["dog"], "area": [0.2], "labelled": 0.2, "fold": 0,
        "iou": [0.9], "confident_iou": [0.95], "evidence": [0.95], "quality": 0.9, "similarity": [],
        "hash": np.random.default_rng(number).bytes(32), "loss": [1.0, 1.0, 0.0], "pixels": [10, 10, 0],
    }  # fmt: skip
    return Score(**{**values, **changes})
