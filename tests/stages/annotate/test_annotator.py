"""Tiny pipelines of the real classes, one of each family."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.annotate.annotator import Annotator, fitted_size

DOG, BIRD = ClassSpec(name="dog"), ClassSpec(name="bird")


def picture(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def annotator(pipeline: Any, **changes: Any) -> Annotator:
    settings: dict[str, Any] = {"timesteps": (100, 400), "seeds": 2, "width": 64, "height": 64}
    return Annotator(pipeline, **(settings | changes))


@pytest.fixture(params=["sd", "sd2", "sdxl", "pocket"])
def pipeline(request: pytest.FixtureRequest, load: Callable[[str], Any]) -> Any:
    return load(request.param)


def test_every_family_gives_maps_of_the_pictures_shape(pipeline: Any) -> None:
    look = annotator(pipeline)
    noisy = look.noisy(picture(96, 48), seed=1)
    assert noisy.size == (88, 48)
    evidence = look.evidence(noisy, (DOG, BIRD))
    largest = max(evidence.cross)
    assert largest in {(6, 11), (3, 6)}  # the XL shape has no attention at full size
    for maps in (*evidence.cross.values(), *evidence.affinity.values()):
        assert maps.shape[0] == 2 and np.isfinite(maps).all()
    assert not np.array_equal(evidence.cross[largest][0], evidence.cross[largest][1])


def test_a_picture_is_noised_to_other_timesteps_on_demand(pipeline: Any) -> None:
    look = annotator(pipeline)
    own, others = look.noisy(picture(64, 64), seed=1), look.noisy(picture(64, 64), seed=1, timesteps=(600,))
    assert [step for step, _, _ in own.steps] == [100, 400] and [step for step, _, _ in others.steps] == [600]


@pytest.mark.parametrize(("family", "kind"), [("sd", "epsilon"), ("sd2", "v_prediction")])
def test_the_error_is_that_of_training(family: str, kind: str, load: Callable[[str], Any]) -> None:
    """A UNet that predicts the target exactly has no error: the target follows from the noisy latents and the clean."""
    pipeline = load(family)
    noisy = annotator(pipeline, timesteps=(300,), seeds=3).noisy(picture(64, 64), seed=5)
    ((timestep, latents, target),) = noisy.steps
    share = pipeline.scheduler.alphas_cumprod[timestep]
    with torch.no_grad():
        pixels = torch.from_numpy(picture(64, 64)).permute(2, 0, 1)[None].float() / 127.5 - 1
        clean = pipeline.vae.encode(pixels).latent_dist.mode() * pipeline.vae.config.scaling_factor
    noise = (latents - share.sqrt() * clean) / (1 - share).sqrt()
    expected = noise if kind == "epsilon" else share.sqrt() * noise - (1 - share).sqrt() * clean
    assert torch.allclose(target, expected.expand_as(target), atol=1e-4)
    assert 0.7 < float(noise.std()) < 1.3  # it is noise of unit variance, different for each draw
    assert not torch.equal(noise[0], noise[1])


def test_the_same_picture_and_seed_give_the_same_bytes(load: Callable[[str], Any]) -> None:
    look = annotator(load("sd"))

    def read(seed: int) -> bytes:
        return look.evidence(look.noisy(picture(64, 64), seed), (DOG,)).to_bytes()

    first = read(1)
    look.evidence(look.noisy(picture(80, 64), 9), (BIRD, DOG))  # another picture in between
    assert read(1) == first != read(2)


def test_many_classes_take_several_prompts(load: Callable[[str], Any]) -> None:
    look = annotator(load("sd"))
    classes = [ClassSpec(name=name) for name in ("dog", "bird", "cat", "traffic light", "umbrella")]
    assert look.text(classes) == "a photo of a dog, a bird, a cat and a traffic light; a photo of an umbrella"
    evidence = look.evidence(look.noisy(picture(64, 64), 1), classes)
    assert all(len(maps) == 5 and maps.max(axis=(1, 2)).min() > 0 for maps in evidence.cross.values())


def test_a_prompt_that_leaves_no_room_for_the_class_is_refused(load: Callable[[str], Any]) -> None:
    pipeline = load("sd")
    look = annotator(pipeline, prompt="zebra " * 16 + "{classes}")
    with pytest.raises(UserError, match="too long"):
        look.evidence(look.noisy(picture(64, 64), 1), (DOG,))


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((512, 512), (512, 512)), ((4000, 3000), (592, 440)), ((100, 100), (512, 512)), ((5000, 100), (1024, 256)),
     ((100, 5000), (256, 1024))],
)  # fmt: skip
def test_pictures_are_fitted_to_the_models_area(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitted_size(*size, 512, 512) == fitted
