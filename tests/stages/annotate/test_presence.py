from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.annotate.presence import Judge, claims, foreground

DOG, BIRD = ClassSpec(name="dog"), ClassSpec(name="bird")


def test_a_thing_is_where_the_best_class_beats_the_best_background() -> None:
    things = np.array([[[0.5, 0.1, 0.2]], [[0.1, 0.1, 0.1]]], np.float32)
    around = np.array([[[0.1, 0.1, 0.1]], [[0.05, 0.6, 0.2]]], np.float32)
    here, nowhere, maybe = foreground(things, around)[0]
    assert here > 0.99 and nowhere < 0.01 and maybe == pytest.approx(0.5)


def test_each_class_claims_the_thing_that_it_explains_best() -> None:
    thing = np.zeros((32, 32), np.float32)
    thing[8:24, 2:12] = thing[8:24, 20:30] = 1
    scores = np.zeros((4, 32, 32), np.float32)
    scores[0, :, :16], scores[1, :, 16:] = 3, 3
    scores[2] = 1  # likelier than some everywhere, the likeliest nowhere
    scores[3, :7] = 9  # the likeliest where no thing is
    left, right, neither, outside = claims(scores, thing)
    assert left == pytest.approx(right, abs=1e-3)
    assert left > 0.7 and neither < 0.2 and outside < 0.1
    assert claims(scores + np.linspace(0, 5, 32, dtype=np.float32), thing)[:2].min() > 0.7  # only differences count
    assert claims(scores, np.zeros_like(thing)).max() < 0.01


def test_a_claim_on_a_small_thing_is_as_good_as_on_a_large_one() -> None:
    thing = np.zeros((32, 32), np.float32)
    thing[2:30, 2:20] = thing[12:20, 23:31] = 1
    scores = np.zeros((2, 32, 32), np.float32)
    scores[0, :, :21], scores[1, :, 21:] = 4, 4
    large, small = claims(scores, thing)
    assert large > 0.9 and small > 0.7


@pytest.mark.long
@pytest.mark.parametrize("family", ["sd", "sdxl", "pocket"])
def test_presence_is_of_the_classes_asked_for_in_their_order(family: str, load: Callable[[str], Any]) -> None:
    look = Annotator(load(family), timesteps=(100,), seeds=1, width=64, height=64)
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    found = Judge(look, (DOG, BIRD)).presence(image, 5)
    assert found.shape == (2,) and found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    assert np.array_equal(Judge(look, (DOG, BIRD)).presence(image, 5), found)
    assert np.allclose(Judge(look, (BIRD, DOG)).presence(image, 5), found[::-1], atol=1e-3)
