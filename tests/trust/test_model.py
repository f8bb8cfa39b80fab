"""Probabilities: what a fit learns, what few pictures may change, and tables that are none."""

import json

import numpy as np
import pytest

from dsfactory.errors import UserError
from dsfactory.trust.evidence import FEATURES
from dsfactory.trust.model import Table, fit, reliability


def drawn(count, seed=0):
    """Evidence of which ``a`` alone says whether an object is right."""
    rng = np.random.default_rng(seed)
    evidence = [{"a": float(rng.normal(0.5, 0.2)), "b": float(rng.random())} for _ in range(count)]
    right = [bool(rng.random() < 1 / (1 + np.exp(-10 * (one["a"] - 0.4)))) for one in evidence]
    return evidence, right


def test_a_fit_finds_what_decides_and_its_probabilities_come_true():
    evidence, right = drawn(2000)
    model = fit(("a", "b"), evidence, right)
    assert abs(model.weight[0] / model.scale[0] - 10) < 1 and abs(model.weight[1]) < 0.2
    others, truth = drawn(2000, seed=1)
    found = reliability(model.probability(others), [0.9 if one else 0.2 for one in truth])
    assert found.error < 0.03 and abs(found.said - found.right) < 0.03
    assert found.upper_iou > found.mean_iou + 0.03


def test_few_objects_change_a_prior_little_and_many_change_it():
    prior = fit(("a", "b"), *drawn(2000))
    for count, moved in ((6, (0.0, 0.9)), (2000, (2.0, 60.0))):
        evidence, right = drawn(count, seed=2)
        other = fit(prior.features, evidence, [not one for one in right], prior)
        assert moved[0] <= abs(other.weight[0] - prior.weight[0]) <= moved[1]


def test_the_model_that_reads_the_most_of_what_is_known_is_taken():
    small, large = fit(("a",), *drawn(200)), fit(("a", "b"), *drawn(200))
    table = Table(calibrated="nothing", objects=200, models=(small, large))
    assert table.model_for({"a": 0.5}) is small and table.model_for({"a": 0.5, "b": 0.1, "c": 1.0}) is large
    assert table.model_for({"b": 0.5}) is None and table.trust({"b": 0.5}) is None
    assert 0 <= table.trust({"a": -1e9}) < table.trust({"a": 0.5}) < table.trust({"a": 1e9}) <= 1


def test_the_table_that_comes_along_reads_known_evidence_and_says_where_it_is_from():
    table = Table.read()
    assert all({*model.features} <= {*FEATURES} for model in table.models) and "another world" in table.calibrated
    best = {"margin": 0.7, "claim": 0.95, "rival": 0.0, "share": 1.0, "edge": 1.0, "spread": 0.1}
    worst = {"margin": 0.1, "claim": 0.4, "rival": 0.9, "share": 0.1, "edge": 0.5, "spread": 0.8}
    assert table.trust(worst) < 0.1 and table.trust(best) > 0.95
    assert Table.model_validate_json(table.to_bytes()).digest == table.digest


@pytest.mark.parametrize("change", [{"bias": None}, {"weight": [1.0]}, {"scale": [0.0]}, {"features": "a"}])
def test_a_table_that_is_none_is_refused(change, tmp_path):
    model = {"features": ["a"], "mean": [0.0], "scale": [1.0], "weight": [1.0], "bias": 0.0} | change
    if change == {"weight": [1.0]}:
        model["weight"] = [1.0, 2.0]
    path = tmp_path / "trust.json"
    path.write_text(json.dumps({"calibrated": "x", "objects": 1, "models": [model]}))
    with pytest.raises(UserError, match=r"trust\.json cannot be read: fit it again"):
        Table.read(path)
