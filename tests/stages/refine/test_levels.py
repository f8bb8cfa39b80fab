"""What attention's resolutions weigh."""

import numpy as np
import pytest

from dsfactory.stages.refine.config import EQUAL_WEIGHTS, RefineConfig
from dsfactory.stages.refine.levels import grid_weights


def maps(*sides: int) -> dict[tuple[int, int], np.ndarray]:
    return {(side, side): np.ones((1, side, side), np.float32) for side in sides}


SD = {8: 0.15, 16: 0.7, 32: 0.15}


@pytest.mark.parametrize(("recipe", "sides", "expected"), [
    ("family", (64, 32, 16, 8), SD),
    ("auto", (64, 32, 16, 8), SD),
    ("mean", (64, 32, 16, 8), EQUAL_WEIGHTS),
    ("family", (48, 24, 12), {16: 0.15, 32: 0.7, 64: 0.15}),
    ("family", (16, 8, 4), EQUAL_WEIGHTS),
    ("levels", (16, 8, 4), {4: 0.15, 8: 0.7, 16: 0.15}),
    ("family", (64, 32), EQUAL_WEIGHTS),
    ("family", (32,), EQUAL_WEIGHTS),
], ids=["SD 512", "auto", "before", "SD 768", "pocket", "asked for", "SDXL", "SD3"])  # fmt: skip
def test_the_weights_of_a_family(recipe: str, sides: tuple[int, ...], expected: dict[int, float]) -> None:
    assert grid_weights(maps(*sides), RefineConfig.model_validate({"recipe": recipe})) == expected


def test_own_weights_go_before_the_recipe() -> None:
    own = {16: 1.0}
    assert grid_weights(maps(64, 32, 16, 8), RefineConfig(resolution_weights=own)) == own


def test_what_is_not_settled_changes_no_fingerprint() -> None:
    before = RefineConfig(recipe="mean", instances="components").identity()
    assert RefineConfig().identity() == before and not {"recipe", "instances"} & before.keys()
    assert RefineConfig(recipe="family", instances="counted").identity() == {
        **before, "recipe": "family", "instances": "counted",
    }  # fmt: skip
