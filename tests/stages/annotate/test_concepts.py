"""Attention to words that the model is not told, on tiny pipelines of the real classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.annotate.concepts import read_layers

WORDS = tuple(ClassSpec(name=name) for name in ("dog", "traffic light", "sky"))


def annotator(pipeline: Any, **changes: Any) -> Annotator:
    return Annotator(pipeline, timesteps=(100, 400), seeds=2, width=64, height=64, **changes)


def picture(width: int = 64, height: int = 64) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", ["sd", "sd2", "sdxl", "pocket"])
def test_all_words_share_each_place_and_the_pass_does_not_notice(family: str, load: Callable[[str], Any]) -> None:
    look = annotator(load(family))
    plain, states, words = look.alone(WORDS)
    noisy = look.noisy(picture(96, 48), seed=1)
    maps, error = look.concepts(noisy, plain, words)
    assert maps.shape == (3, 6, 11) and torch.allclose(maps.sum(0), torch.ones(6, 11), atol=1e-5)
    assert np.array_equal(error, look.error(noisy, plain))
    assert not np.array_equal(error, look.error(noisy, states[0]))
    turned, _ = look.concepts(noisy, plain, words.flip(0))
    assert torch.allclose(turned.flip(0), maps, atol=1e-6)
    assert all(not module._forward_hooks for module in look._unet.modules())


@pytest.mark.parametrize("family", ["sd", "sdxl", "pocket"])
def test_the_way_up_is_read_without_its_last_layer(family: str, load: Callable[[str], Any]) -> None:
    unet = load(family).unet
    names = {id(module): name for name, module in unet.named_modules()}
    up = [name for name in names.values() if name.startswith("up_blocks") and name.endswith("attn2")]
    assert [names[id(layer)] for layer in read_layers(unet)] == up[:-1] != []


def test_a_prompt_that_leaves_no_room_for_a_word_is_refused(load: Callable[[str], Any]) -> None:
    with pytest.raises(UserError, match="does not read as far as 'dog'"):
        annotator(load("sd"), prompt="zebra " * 16 + "{classes}").alone(WORDS)
