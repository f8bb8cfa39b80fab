"""Objects of one class that touch: parted at necks, at edges of self-attention, and as many as the prompt says."""

import time

import cv2
import numpy as np
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.refine.clean import label_instances
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.counted import SEVERAL, asked_numbers
from dsfactory.stages.refine.fuse import Maps
from dsfactory.stages.refine.instances import split_mask
from dsfactory.stages.refine.mask import RefinedMask, refine_mask

DOG, CAT = ClassSpec(name="dog"), ClassSpec(name="cat")


def discs(*centres: tuple[int, int], radius: int = 22, size: tuple[int, int] = (96, 160)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for x, y in centres:
        cv2.circle(mask, (x, y), radius, 1, thickness=-1)
    return mask > 0


def test_two_discs_that_touch_are_two_objects_and_their_border_is_between_them() -> None:
    parts = split_mask(discs((50, 48), (88, 48)))
    assert set(np.unique(parts)) == {0, 1, 2}
    assert parts[48, 50] != parts[48, 88]
    border = np.flatnonzero(np.diff(parts[48, 40:100]))
    assert len(border) == 1 and abs(int(border[0]) + 40 - 69) <= 3


@pytest.mark.parametrize("mask", [
    discs((70, 48)),
    discs((70, 48), (76, 48), (82, 48)),
    np.pad(np.ones((20, 120), bool), 20),
    np.pad(np.ones((1, 1), bool), 9),
    cv2.line(np.zeros((700, 900), np.uint8), (3, 5), (890, 333), 1) > 0,
], ids=["disc", "bean", "bar", "pixel", "hair"])  # fmt: skip
def test_what_has_no_neck_stays_whole(mask: np.ndarray) -> None:
    assert np.array_equal(split_mask(mask) > 0, mask)
    assert split_mask(mask).max() == 1


def test_a_thin_tail_is_no_object() -> None:
    mask = discs((60, 48))
    mask[46:50, 60:150] = True
    mask[40:56, 140:150] = True
    assert split_mask(mask).max() == 1


def test_there_are_no_more_objects_than_the_number_and_parts_apart_count() -> None:
    row = discs((24, 48), (62, 48), (100, 48), size=(96, 200))
    assert [int(split_mask(row, most=most).max()) for most in (None, 3, 2, 1)] == [3, 3, 2, 1]
    apart = row | discs((160, 48), size=(96, 200))
    assert [int(split_mask(apart, most=most).max()) for most in (None, 4, 3, 2, 1)] == [4, 4, 3, 2, 2]


def test_edges_of_self_attention_part_what_has_no_neck() -> None:
    bar = np.pad(np.ones((40, 120), bool), 20)
    edges = np.zeros(bar.shape, np.float32)
    edges[:, 78:82] = 1.0
    edges = cv2.GaussianBlur(edges, (0, 0), 3)
    edges /= edges.max()
    parts = split_mask(bar, edges)
    assert set(np.unique(parts)) == {0, 1, 2} and parts[40, 40] != parts[40, 120]


def test_a_large_picture_takes_no_time() -> None:
    mask = discs((400, 500), (700, 500), radius=170, size=(1024, 1024))
    start = time.process_time()
    parts = split_mask(mask)
    assert time.process_time() - start < 0.5  # measured: 0.03 s
    assert parts.max() == 2


@pytest.mark.parametrize(("prompt", "dogs", "cats"), [
    ("two dogs", 2, None),
    ("a photo of three big brown dogs and a cat", 3, 1),
    ("a dog next to two cats", 1, 2),
    ("dogs on the grass", SEVERAL, None),
    ("a pair of dogs, 4 cats", 2, 4),
    ("a group of dogs with the cat", SEVERAL, None),
    ("the dog and cats", None, SEVERAL),
    ("two men and a dog", 1, None),
    ("a bird", None, None),
])  # fmt: skip
def test_the_number_that_a_prompt_asks_for(prompt: str, dogs: int | None, cats: int | None) -> None:
    assert asked_numbers(prompt, [DOG, CAT]) == [dogs, cats]


def test_ids_are_in_order_of_first_pixels_and_all_pixels_have_one() -> None:
    labels = np.where(discs((88, 48), (50, 52)), np.uint8(3), np.uint8(0))
    labels[2:6, 100:110] = 7
    instances, counts = label_instances(labels, lambda number, mask: split_mask(mask))
    assert counts == {3: 2, 7: 1}
    firsts = [int(np.flatnonzero(instances == number)[0]) for number in (1, 2, 3)]
    assert firsts == sorted(firsts) and np.array_equal(instances > 0, labels > 0)


def refined(rule: str, asked: tuple[int | None, ...] = (), edges: Maps | None = None) -> RefinedMask:
    mask = discs((50, 48), (88, 48))
    image = np.where(mask[..., None], np.uint8([200, 60, 40]), np.uint8([40, 90, 160]))
    maps = cv2.resize(mask.astype(np.float32), (20, 12), interpolation=cv2.INTER_AREA)[None] + 0.02
    config = RefineConfig.model_validate({"instances": rule})
    return refine_mask(image, {(12, 20): maps}, {}, (1,), config, asked=asked, edges=edges)


def test_a_rule_says_where_objects_are_parted() -> None:
    assert refined("components").components == (1,)
    assert refined("shape").components == (2,)
    assert refined("edges").components == (2,)
    assert [refined("counted", asked).components for asked in ((), (None,), (1,), (2,), (SEVERAL,))] == [
        (1,), (1,), (1,), (2,), (2,),
    ]  # fmt: skip
    halves = refined("counted", (2,))
    assert np.array_equal(halves.labels, refined("components").labels)
    assert set(np.unique(halves.instances)) - {255} == {0, 1, 2}
