"""From answers to pairs to a ranking: Bradley and Terry's model, with intervals, and no ranking where they overlap."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from dsfactory.core.seeds import derive_seed

POINTS = 400 / np.log(10)
"""Of a score for a natural logarithm: 400 points more are ten times the odds, as in chess."""
DRAWS = 1.0
"""Draws between each two that are taken as seen, so that who won all has a finite score."""
RESAMPLES = 500


class Answer(BaseModel):
    """What a judge said of a pair.

    Attributes:
        image: what was shown.
        left, right: whose labels stood where.
        answer: which are better.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: str
    left: str
    right: str
    answer: Literal["left", "right", "equal"]


@dataclass(frozen=True)
class Score:
    """How good one's labels are.

    Attributes:
        name: whose.
        points: on the scale of 400; their mean over all is 0.
        low, high: interval of 95 %, by resampling images.
        answers: to pairs with it.
    """

    name: str
    points: float
    low: float
    high: float
    answers: int


@dataclass(frozen=True)
class Verdict:
    """What answers say.

    Attributes:
        scores: best first.
        clear: the order of neighbours in it is certain: their intervals do not overlap.
        answers: how many there are.
        inconsistent: of the pairs shown in both orders, the share whose winner changed with the order; None for
            none.
        left: share of the decided answers that were left.
    """

    scores: tuple[Score, ...]
    clear: tuple[bool, ...]
    answers: int
    inconsistent: float | None
    left: float | None


def read_answers(text: str) -> tuple[list[Answer], list[str]]:
    """Answers of a file with one JSON object per line, and what is wrong with the lines that are none."""
    found, faults = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                answer = Answer.model_validate_json(line)
            except ValidationError as error:
                faults.append(f"line {number} is no answer: {error.errors()[0]['msg'].lower()[:100]}")
                continue
            found.append(answer)
    return found, faults


def judge_answers(answers: Sequence[Answer], seed: int = 0) -> Verdict:
    """Rank by answers to pairs (Bradley and Terry 1952; intervals by the bootstrap over images, Efron 1979).

    Args:
        answers: at least one.
        seed: of the resampling.
    """
    names = sorted({name for one in answers for name in (one.left, one.right)})
    images = sorted({one.image for one in answers})
    wins = np.zeros((len(images), len(names), len(names)))
    for one in answers:
        place, left, right = images.index(one.image), names.index(one.left), names.index(one.right)
        share = {"left": 1.0, "right": 0.0, "equal": 0.5}[one.answer]
        wins[place, left, right] += share
        wins[place, right, left] += 1 - share
    points = _fitted(wins.sum(axis=0))
    rng = np.random.default_rng(derive_seed(seed, "answers"))
    again = np.array([_fitted(wins[rng.integers(0, len(images), len(images))].sum(axis=0)) for _ in range(RESAMPLES)])
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    seen = wins.sum(axis=0)

    def score(place: int) -> Score:
        said, least, most = (round(float(one[place]), 1) for one in (points, low, high))
        return Score(names[place], said, least, most, round(float(seen[place].sum() + seen[:, place].sum())))

    scores = [score(place) for place in range(len(names))]
    scores.sort(key=lambda one: (-one.points, one.name))
    clear = tuple(one.low > other.high for one, other in pairwise(scores))
    decided = [one.answer == "left" for one in answers if one.answer != "equal"]
    return Verdict(
        tuple(scores), clear, len(answers), _inconsistent(answers), float(np.mean(decided)) if decided else None
    )


def _fitted(wins: NDArray[np.float64], rounds: int = 100) -> NDArray[np.float64]:
    """Points by maximum likelihood, by Newton's method; ``wins[i, j]``: how often i beat j, a draw is half for each."""
    count = len(wins)
    wins = wins + DRAWS / 2 * (1 - np.eye(count))
    total = wins + wins.T
    strengths = np.zeros(count)
    for _ in range(rounds):
        odds = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
        slope = (wins - total * odds).sum(axis=1)
        curve = total * odds * (1 - odds)
        hessian = np.diag(curve.sum(axis=1)) - curve + np.ones((count, count)) / count  # the mean is free: hold it at 0
        step = np.linalg.solve(hessian, slope)
        strengths += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    return np.asarray((strengths - strengths.mean()) * POINTS, dtype=np.float64)


def _inconsistent(answers: Sequence[Answer]) -> float | None:
    """Of pairs shown in both orders, how many were decided otherwise when they were swapped."""
    said: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    orders: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in answers:
        pair = (one.image, min(one.left, one.right), max(one.left, one.right))
        winner = {"left": one.left, "right": one.right, "equal": ""}[one.answer]
        said[pair].append(winner)
        orders[pair].add(one.left)
    both = [len({*said[pair]}) > 1 for pair, seen in orders.items() if len(seen) == 2]
    return float(np.mean(both)) if both else None
