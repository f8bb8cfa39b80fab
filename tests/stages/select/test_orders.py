"""The orders of choice, against what they promise."""

import numpy as np
import pytest

from dsfactory.stages.select.orders import bisecting_clusters, facility_location, in_turn, turns


def groups(*sizes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around as many directions, and the group of each."""
    rng = np.random.default_rng(seed)
    centres = np.eye(len(sizes), 16, dtype=np.float32)
    names = np.repeat(np.arange(len(sizes)), sizes)
    vectors = centres[names] + rng.normal(0, 0.05, (len(names), 16)).astype(np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), names


def plain_greedy(vectors: np.ndarray, num: int) -> list[int]:
    likeness = np.maximum(vectors @ vectors.T, 0).astype(np.float64)
    covered, chosen = np.zeros(len(vectors)), []
    for _ in range(num):
        gains = np.maximum(likeness - covered[:, None], 0).sum(axis=0)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        covered = np.maximum(covered, likeness[:, chosen[-1]])
    return chosen


def value(vectors: np.ndarray, chosen: list[int]) -> float:
    return float(np.maximum(vectors @ vectors[chosen].T, 0).max(axis=1).sum())


def test_lazy_gains_choose_as_well_as_looking_at_all():
    vectors, _ = groups(90, 60, 40, 10)
    for num in (1, 4, 25, 100):
        assert value(vectors, facility_location(vectors, vectors, num)) == pytest.approx(
            value(vectors, plain_greedy(vectors, num)), rel=1e-5
        )


@pytest.mark.parametrize("order", [lambda v, n: facility_location(v, v, n), bisecting_clusters])
def test_every_group_is_found_first_and_the_choice_is_nested(order):
    vectors, names = groups(80, 40, 20, 10, 5)
    whole = order(vectors, 155)
    assert sorted(whole) == list(range(155))
    assert {*names[whole[:5]]} == {0, 1, 2, 3, 4}
    assert all(whole[:num] == order(vectors, num) for num in (1, 3, 17))


def test_copies_can_be_chosen_too_and_nothing_is_chosen_of_nothing():
    same = np.ones((6, 4), np.float32) / 2
    assert sorted(bisecting_clusters(same, 9)) == sorted(facility_location(same, same, 9)) == list(range(6))
    assert bisecting_clusters(same[:0], 3) == facility_location(same[:0], same, 3) == []


def test_real_images_are_stood_for_where_they_are():
    vectors, names = groups(50, 50, 50)
    chosen = facility_location(vectors, vectors[names == 1][:9], 9)
    assert {*names[chosen]} == {1}


def test_orders_take_turns_until_they_end():
    orders = [["a1", "a2", "a3"], [], ["c1"]]
    assert in_turn(orders, 4) == ["a1", "c1", "a2", "a3"]
    for num in range(7):
        taken = in_turn(orders, num)
        assert turns([3, 0, 1], num) == [sum(item[0] == name for item in taken) for name in "abc"]
