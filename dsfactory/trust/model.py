"""From what is known of an object to the probability that it is right: logistic regression on few numbers.

The numbers are in a file that a person can read (``table.json``): what each kind of evidence weighs, and on what that
was learnt. ``research/trust.py`` makes it of rendered scenes; ``dsfactory trust fit`` of a user's labelled pictures.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from dsfactory.errors import UserError

GOOD = 0.8
"""An object is right from this IoU with the truth on."""

TABLE = Path(__file__).parent / "table.json"
MAX_FILE = 2**20
DIGITS = 4
"""Decimal places of a trust."""

Floats = NDArray[np.float64]


class Model(BaseModel):
    """A logistic regression.

    Attributes:
        features: names of the evidence that it reads; see :data:`dsfactory.trust.evidence.FEATURES`.
        mean, scale: by which each is brought to a common size.
        weight: of each, in log odds per ``scale``.
        bias: log odds of an object of mean evidence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    bias: float

    @model_validator(mode="after")
    def _check(self) -> "Model":
        if not len(self.features) == len(self.mean) == len(self.scale) == len(self.weight) or 0 in self.scale:
            raise ValueError("its lists differ in length, or a scale is 0")
        return self

    def scaled(self, evidence: Sequence[Mapping[str, float]]) -> Floats:
        """Evidence brought to a common size: float64 ``(objects, features)``."""
        found = np.array([[one[name] for name in self.features] for one in evidence], np.float64)
        scaled: Floats = (found.reshape(-1, len(self.features)) - self.mean) / self.scale
        return np.clip(scaled, -LIMIT, LIMIT)

    def probability(self, evidence: Sequence[Mapping[str, float]]) -> Floats:
        """That each object is right: float64 ``(objects,)``."""
        return sigmoid(self.scaled(evidence) @ np.array(self.weight) + self.bias)


LIMIT = 4.0
"""Scales from the mean at which evidence is cut off: nobody has seen objects farther out."""


class Table(BaseModel):
    """What says how far objects can be trusted.

    Attributes:
        calibrated: on what, in a sentence.
        objects: how many these were.
        models: the one is taken that reads the most of what is known of an object.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibrated: str
    objects: int
    models: tuple[Model, ...]

    @classmethod
    def read(cls, path: Path = TABLE) -> "Table":
        """Read a table.

        Raises:
            UserError: it is none.
        """
        try:
            if path.stat().st_size > MAX_FILE:
                raise ValueError("it is too long")
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: fit it again with 'dsfactory trust fit', or delete it") from error

    def to_bytes(self) -> bytes:
        """The table as a file."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False).encode() + b"\n"

    @cached_property
    def digest(self) -> str:
        """Hash of the table, 16 hex digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    def model_for(self, known: Mapping[str, float]) -> Model | None:
        """The model that reads the most of what is known; None when each wants something that is not."""
        fitting = [model for model in self.models if known.keys() >= {*model.features}]
        return max(fitting, key=lambda model: len(model.features), default=None)

    def trust(self, evidence: Mapping[str, float]) -> float | None:
        """The probability that an object is right, in [0, 1]; None where too little is known."""
        model = self.model_for(evidence)
        return None if model is None else round(float(model.probability([evidence])[0]), DIGITS)


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    found: Floats = 0.5 * (1 + np.tanh(0.5 * values))
    return found


def fit(
    features: Sequence[str], evidence: Sequence[Mapping[str, float]], right: Sequence[bool], prior: Model | None = None
) -> Model:
    """Logistic regression with a Gaussian prior on the weights (MacKay 2003, chapter 41), by Newton's method.

    Args:
        features: which evidence is read.
        evidence: of each object.
        right: whether it is right.
        prior: a model of the same features whose weights are believed as long as there is little else; None for 0.
    """
    if prior is None:
        table = np.array([[one[name] for name in features] for one in evidence])
        scale = np.where(table.std(axis=0) > 1e-6, table.std(axis=0), 1.0)
        start = Model(features=tuple(features), mean=_rounded(table.mean(axis=0)), scale=_rounded(scale),
                      weight=(0.0,) * len(features), bias=0.0)  # fmt: skip
    else:
        start = prior
    inputs = np.column_stack([start.scaled(evidence), np.ones(len(evidence))])
    wanted = np.asarray(right, np.float64)
    believed = np.array([*start.weight, start.bias])
    strength = np.full(len(believed), STRENGTH if prior is None else BELIEVED)
    if prior is None:
        strength[-1] = 1e-3  # how many objects are right is not known beforehand
    found = believed.copy()
    for _ in range(50):
        said = sigmoid(inputs @ found)
        slope = inputs.T @ (said - wanted) + strength * (found - believed)
        curve = (inputs * (said * (1 - said))[:, None]).T @ inputs + np.diag(strength)
        step = np.linalg.solve(curve, slope)
        found -= step
        if np.abs(step).max() < 1e-9:
            break
    return start.model_copy(update={"weight": _rounded(found[:-1]), "bias": _rounded(found[-1:])[0]})


STRENGTH, BELIEVED = 2.0, 5.0
"""Inverse variance of the prior on each weight: around 0, and around those of another model."""


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.5g}") for value in values)


@dataclass(frozen=True)
class Reliability:
    """How well probabilities come true.

    Attributes:
        objects: how many were judged.
        right: share of them that is right.
        said: mean probability.
        error: expected calibration error (Naeini et al. 2015), ten bins of equally many objects.
        bins: of each bin the mean probability, the share that is right, and its objects.
        mean_iou: of all objects.
        upper_iou: of the 80 % with the highest probability.
    """

    objects: int
    right: float
    said: float
    error: float
    bins: tuple[tuple[float, float, int], ...]
    mean_iou: float
    upper_iou: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


BINS = 10
UPPER = 0.8


def reliability(probability: Sequence[float] | Floats, iou: Sequence[float] | Floats) -> Reliability:
    """Compare probabilities that objects are right with the truth.

    Args:
        probability: of each object, in [0, 1].
        iou: of each with the truth.
    """
    said, found = np.asarray(probability, np.float64), np.asarray(iou, np.float64)
    right = found >= GOOD
    order = np.argsort(said, kind="stable")
    bins = [
        (float(said[part].mean()), float(right[part].mean()), len(part))
        for part in np.array_split(order, min(BINS, len(order)))
    ]
    error = sum(count * abs(one - other) for one, other, count in bins) / len(said)
    upper = order[len(order) - round(UPPER * len(order)) :]
    return Reliability(
        len(said), float(right.mean()), float(said.mean()), error, tuple(bins), float(found.mean()),
        float(found[upper].mean()),
    )  # fmt: skip
