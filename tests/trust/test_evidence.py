"""What is known of right objects and of wrong ones."""

import numpy as np
import pytest

from dsfactory.core.sample import VOID
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.trust.evidence import object_evidence
from dsfactory.trust.model import Table
from dsfactory.trust.real import object_iou

SIDE = 64
NAMES = ("dog", "cat", "bird")
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def disc(row, column, radius):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


def maps(*places):
    """Blurred discs as attention to each class, of 16²."""
    grid = np.stack([np.exp(-((ROWS - r) ** 2 + (COLUMNS - c) ** 2) / (2 * s * s)) for r, c, s in places])
    small = grid.reshape(len(places), 16, 4, 16, 4).mean(axis=(2, 4)).astype(np.float16)
    return Evidence({(16, 16): small}, {(16, 16): small})


DOG, CAT = disc(32, 18, 11), disc(32, 46, 11)
IMAGE = np.where((DOG | CAT)[..., None], (200, 60, 40), (120, 130, 120)).astype(np.uint8)
ROW = {"classes": ["cat", "dog"], "claim": [0.9, 0.8], "missing": ["", ""]}
MAPS = maps((32, 46, 9), (32, 18, 9))


def labelled(*objects):
    mask, instances = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    for number, (label, pixels) in enumerate(objects, start=1):
        mask[pixels], instances[pixels] = label, number
    return mask, instances


def test_an_object_where_its_attention_lies_and_colours_change_is_trusted_more_than_one_that_is_not():
    right = object_evidence(ROW, NAMES, IMAGE, *labelled((1, DOG), (2, CAT)), MAPS)
    wrong = object_evidence(ROW, NAMES, IMAGE, *labelled((1, CAT), (2, disc(10, 30, 6))), MAPS)
    assert [one["claim"] for one in right.values()] == [0.8, 0.9]
    for number in (1, 2):
        good, bad = right[number], wrong[number]
        assert good["margin"] > bad["margin"] + 0.2
        assert Table.read().trust(good) > 0.9 > Table.read().trust(bad) + 0.1
    assert right[1]["rival"] < 0.2 < 0.6 < wrong[1]["rival"] and right[2]["edge"] > wrong[2]["edge"] + 0.1
    assert all(-1 <= value <= 1 for one in (*right.values(), *wrong.values()) for value in one.values())


def test_the_size_of_an_image_changes_little():
    one = object_evidence(ROW, NAMES, IMAGE, *labelled((1, DOG), (2, CAT)), MAPS)
    large = [np.repeat(np.repeat(part, 4, axis=0), 4, axis=1) for part in (IMAGE, *labelled((1, DOG), (2, CAT)))]
    four = object_evidence(ROW, NAMES, *large, MAPS)
    for number in one:
        assert [*one[number].values()] == pytest.approx([*four[number].values()], abs=0.12)


def test_witnesses_count_where_they_were_heard_and_a_persons_objects_are_nobodys():
    heard = {**ROW, "agree_flip": [0.7, None], "iou": [0.6, 0.5]}
    found = object_evidence(heard, NAMES, IMAGE, *labelled((1, DOG), (2, CAT), (3, disc(58, 58, 4))), MAPS)
    assert {*found} == {1, 2} and "flip" not in found[1] and found[2]["flip"] == 0.7
    assert [found[number]["folds"] for number in (1, 2)] == [0.5, 0.6]
    bare = object_evidence(ROW, NAMES, IMAGE, *labelled((1, DOG)), Evidence(MAPS.cross))
    assert "spread" not in bare[1] and Table.read().trust(bare[1]) is not None


def test_iou_is_that_with_the_part_of_the_truth_that_is_met_and_void_counts_for_nobody():
    truth = np.zeros((SIDE, SIDE), np.uint8)
    truth[DOG], truth[CAT] = 1, 1
    mask, _ = labelled((1, DOG))
    assert object_iou(DOG, 1, mask, truth) == 1.0 and object_iou(DOG, 2, mask, truth) == 0.0
    half = DOG & (COLUMNS < 18)
    assert object_iou(half, 1, labelled((1, half))[0], truth) == pytest.approx(half.sum() / DOG.sum())
    mask, _ = labelled((1, half))
    mask[DOG & ~half] = VOID
    assert object_iou(half, 1, mask, truth) == 1.0
    assert object_iou(DOG, 1, labelled((1, DOG))[0], np.full((SIDE, SIDE), VOID, np.uint8)) is None
