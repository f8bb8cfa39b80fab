"""The two ways of choosing a threshold, on scenes of which both are quick."""

import pytest

pytest.importorskip("resvg_py")

from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.threshold import CLOSE
from scripts.pocket.scenes import Scene
from scripts.threshold_agreement import measure
from tests.stages.refine.scenes import draw_scene


def test_small_images_get_the_exhaustive_choice() -> None:
    drawn = [draw_scene(seed, 1 + seed, (64, 64), noise=0.6) for seed in range(2)]
    scenes = [Scene(one.image, one.truth, tuple("ab"[: len(one.cross[8, 8])])) for one in drawn]
    figures = measure(scenes, [Evidence(one.cross, one.affinity) for one in drawn])
    assert (figures["scenes"], figures["choices"]) == (2, 3)
    assert figures["same_choice"] == figures["within_0.01"] == 1.0
    assert figures["agreement_lost_most"] <= CLOSE  # candidates that fall short by less have a say
    assert figures["seconds_per_scene"]["quick"] < figures["seconds_per_scene"]["exhaustive"]
