"""The layout as what is known of a label beforehand."""

import numpy as np

from dsfactory.stages.generate.layouts.layout import Placed
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import ELSEWHERE, refine_mask
from dsfactory.stages.refine.prior import Prior


def touching() -> Placed:
    mask, objects = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    mask[16:48, 8:56], objects[16:48, 8:32], objects[16:48, 32:56] = 1, 1, 2
    return Placed(mask, objects)


def evidence(mask: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """A map of one class that is high where the mask is."""
    cells = mask.reshape(16, 4, 16, 4).mean((1, 3))
    return {(16, 16): (0.05 + 0.5 * cells)[None].astype(np.float16)}


def refined(shown: np.ndarray, layout: Placed):
    image = np.where(shown[..., None], np.uint8(200), np.uint8(40)).repeat(3, 2)
    config = RefineConfig(min_box=0)
    return refine_mask(image, evidence(shown), {}, (1,), config, None, Prior.of(layout, (1,)))


def test_two_things_that_touch_are_two():
    layout = touching()
    found = refined(layout.mask == 1, layout)
    assert found.components == (2,) and found.layout_iou[0] > 0.8
    assert (found.instances[20:44, 12:28] == 1).all() and (found.instances[20:44, 36:52] == 2).all()


def test_what_attention_finds_elsewhere_is_no_mask():
    shown = np.zeros((64, 64), bool)
    shown[:12, :12] = True
    found = refined(shown, touching())
    assert found.missing == (ELSEWHERE,) and found.area == (0.0,) and found.layout_iou[0] < 0.1


def test_a_class_does_not_reach_far_beyond_its_region():
    shown = np.zeros((64, 64), bool)
    shown[16:48, 8:64] = True
    found = refined(shown, touching())
    assert not (found.labels[:, 61:] == 1).any() and (found.labels[20:44, 12:52] == 1).all()


def test_nothing_is_asked_where_the_layout_is_void():
    layout = touching()
    layout.mask[:, 40:], layout.objects[:, 40:] = 255, 255
    prior = Prior.of(layout, (1,))
    assert prior.reach[0, :, 40:].all()
    assert prior.overlap((layout.mask > 0)[None]) == (1.0,)
