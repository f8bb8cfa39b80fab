"""Joint attention of SD3 and FLUX: the image is untouched, and the maps are what the layers themselves compute."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FirstBlockCacheConfig, FluxPipeline, FluxTransformer2DModel
from diffusers.models.transformers import transformer_flux

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.models.loading import load_pipeline
from dsfactory.stages.generate.fused import FusedReads
from dsfactory.stages.generate.joint import JointAttentionCapture
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions
from tests.tiny_models import tiny_flux, tiny_sd3

DOG, BIRD, SQUID = (ClassSpec(name=name) for name in ("dog", "bird", "squid"))


def tiny_flux_dev(path: Path) -> Path:
    """FLUX.1-dev, which takes guidance, and twice the text of FLUX.1-schnell."""
    pipeline = FluxPipeline.from_pretrained(tiny_flux(path))
    torch.manual_seed(0)
    guided = FluxTransformer2DModel.from_config({**pipeline.transformer.config, "guidance_embeds": True})
    guided.load_state_dict(pipeline.transformer.state_dict(), strict=False)
    pipeline.transformer = guided
    pipeline.save_pretrained(path)
    return path


FAMILIES = {
    "sd3": tiny_sd3,
    "sd3 without T5": lambda path: tiny_sd3(path, t5=False),
    "flux": tiny_flux,
    "flux dev": tiny_flux_dev,
}
TEXT = {"sd3": 77 + 256, "sd3 without T5": 77 + 256, "flux": 256, "flux dev": 512}
"""Positions of the text."""


with_flux_dev = pytest.mark.parametrize("family", FAMILIES, indirect=True)


@pytest.fixture(scope="module", params=[name for name in FAMILIES if name != "flux dev"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, FAMILIES[request.param](tmp_path_factory.mktemp("model") / "model")


@cache
def loaded(folder: Path) -> Any:
    """A pipeline that all tests share: leave it as it was."""
    return load_pipeline(str(folder), device="cpu")


def sampler(folder: Path, **changes: Any) -> Sampler:
    settings: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "guidance": 4.0, "batch_size": 2} | changes
    return Sampler(loaded(folder), find_mentions=find_mentions, **settings)


@with_flux_dev
def test_the_image_is_that_of_the_bare_pipeline(family: tuple[str, Path]) -> None:
    name, folder = family
    (drawn,) = sampler(folder).draw([Request("a photo of a dog", 7, (DOG,))])
    pipeline = loaded(folder)
    bare = pipeline(
        "a photo of a dog",
        width=64,
        height=64,
        num_inference_steps=2,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(7),
        output_type="pt",
        **{"flux": {"max_sequence_length": 256}, "flux dev": {}}.get(name, {"negative_prompt": ""}),
    ).images
    expected = bare[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(drawn.image, expected)


def test_a_map_per_class_on_the_image_grid(family: tuple[str, Path]) -> None:
    _, folder = family
    # Joint attention runs over all positions; oblong sizes must not be turned on their side.
    (drawn,) = sampler(folder, width=96, height=64).draw([Request("a dog and a bird", 1, (DOG, BIRD))])
    assert drawn.queried == ("caption", "caption")
    assert list(drawn.evidence.cross) == [(4, 6)] and list(drawn.evidence.affinity) == [(4, 6)]
    maps = drawn.evidence.cross[4, 6]
    assert maps.shape == (2, 4, 6) and maps.min() > 0 and maps.max() < 1
    assert not np.allclose(maps[0], maps[1])


@pytest.mark.long
def test_what_accelerators_read_is_what_the_cpu_reads(
    family: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fused kernel, which accelerators ask, asked on the CPU: in steps with and without self-attention."""
    _, folder = family
    pipeline = load_pipeline(str(folder), "cpu", "bf16")
    settings: dict[str, Any] = {"width": 96, "height": 64, "steps": 9, "guidance": 4.0, "batch_size": 2}
    drawn = []
    enter = JointAttentionCapture.__enter__

    def enter_fused(capture: JointAttentionCapture) -> JointAttentionCapture:
        capture._fused = FusedReads(capture._query.weights)
        return enter(capture)

    for way in (enter, enter_fused):
        monkeypatch.setattr(JointAttentionCapture, "__enter__", way)
        made = Sampler(pipeline, find_mentions=find_mentions, **settings)
        drawn.append(list(made.draw([Request("a dog and a bird", 1, (DOG, BIRD)), Request("a bird", 2, (BIRD,))])))
    for exact, fused in zip(*drawn, strict=True):
        assert np.array_equal(exact.image, fused.image)
        assert len(exact.evidence.cross[4, 6]) == len(fused.evidence.cross[4, 6])
        np.testing.assert_allclose(fused.evidence.cross[4, 6], exact.evidence.cross[4, 6], rtol=5e-3)
    assert any((a.evidence.cross[4, 6] != b.evidence.cross[4, 6]).any() for a, b in zip(*drawn, strict=True))


@with_flux_dev
def test_maps_are_the_layers_own_probabilities(family: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the attention kernels are really given, softmaxed over the text columns, averaged: the evidence."""
    name, folder = family
    text = TEXT[name]
    seen: list[torch.Tensor] = []

    def record(query: torch.Tensor, key: torch.Tensor, text_first: bool) -> None:
        """Both ``(images, heads, positions, depth)``."""
        if key.shape[2] != text + 16:
            return  # SD3.5's second attention: image positions alone
        rows, columns = (slice(text, None), slice(0, text)) if text_first else (slice(0, 16), slice(16, None))
        scores = query[-1:, :, rows] @ key[-1:, :, columns].transpose(2, 3) / query.shape[3] ** 0.5
        seen.append(scores.softmax(-1).mean(1)[0])

    if name.startswith("flux"):
        dispatch = transformer_flux.dispatch_attention_fn

        def spy(query: torch.Tensor, key: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
            record(query.transpose(1, 2), key.transpose(1, 2), text_first=True)
            return dispatch(query, key, *rest, **named)

        monkeypatch.setattr(transformer_flux, "dispatch_attention_fn", spy)
    else:
        attend = torch.nn.functional.scaled_dot_product_attention

        def spy(query: torch.Tensor, key: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
            record(query, key, text_first=False)
            return attend(query, key, *rest, **named)

        monkeypatch.setattr("diffusers.models.attention_processor.F.scaled_dot_product_attention", spy)
    (drawn,) = sampler(folder).draw([Request("a dog on the bird", 3, (DOG, BIRD))])
    tokens = {"sd3": [[2, 77 + 1], [5, 77 + 4]], "sd3 without T5": [[2], [5]]}.get(name, [[1], [4]])
    assert len(seen) == 2 * (4 if name.startswith("flux") else 3)  # steps times layers
    mean = torch.stack(seen).mean(0)
    expected = torch.stack([mean[:, positions].mean(1) for positions in tokens]).reshape(2, 4, 4)
    assert np.allclose(drawn.evidence.cross[4, 4], expected.numpy(), rtol=2e-3)


def test_layers_that_a_cache_skips_count_when_they_compute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first step only the first block computes; maps are the mean over what was computed."""
    pipeline = load_pipeline(str(tiny_flux(tmp_path / "model")), device="cpu")
    pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    seen: list[torch.Tensor] = []
    dispatch = transformer_flux.dispatch_attention_fn

    def spy(query: torch.Tensor, key: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        scores = query[0, TEXT["flux"] :].transpose(0, 1) @ key[0, : TEXT["flux"]].permute(1, 2, 0)
        seen.append((scores / query.shape[3] ** 0.5).softmax(-1).mean(0))
        return dispatch(query, key, *rest, **named)

    monkeypatch.setattr(transformer_flux, "dispatch_attention_fn", spy)
    made = Sampler(pipeline, width=64, height=64, steps=3, guidance=4.0, find_mentions=find_mentions)
    (drawn,) = made.draw([Request("a dog on the bird", 3, (DOG,))])
    assert len(seen) == 4 + 1 + 1
    expected = torch.stack(seen).mean(0)[:, 1].reshape(4, 4)
    assert np.allclose(drawn.evidence.cross[4, 4][0], expected.numpy(), rtol=2e-3)
    assert list(drawn.evidence.affinity) == [(4, 4)]


def test_self_attention_of_too_many_positions_is_not_even_asked_for(
    family: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = family
    keys: list[int] = []
    read = JointAttentionCapture._read_joint

    def spy(capture: JointAttentionCapture, layer: Any, query: torch.Tensor, key: torch.Tensor) -> None:
        keys.append(key.shape[1])
        read(capture, layer, query, key)

    monkeypatch.setattr(JointAttentionCapture, "_read_joint", spy)
    for most, positions in ((16, TEXT[name] + 16), (15, TEXT[name])):
        monkeypatch.setattr("dsfactory.stages.generate.recipes.propagation.MAX_AFFINITY_POSITIONS", most)
        keys.clear()
        (drawn,) = sampler(folder, steps=1).draw([Request("a photo of a dog", 7, (DOG,))])
        assert set(keys) == {positions}
        assert bool(drawn.evidence.affinity) == (positions > TEXT[name])


@pytest.mark.parametrize("most", [64, 3])
def test_pictures_of_any_size_have_evidence(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one grid only, however long, and however fine."""
    monkeypatch.setattr("dsfactory.stages.generate.evidence.MAX_SIDE", most)
    look = sampler(tiny_flux(tmp_path / "model"), width=1056, height=64, steps=1)
    (drawn,) = look.draw([Request("a photo of a dog", 7, (DOG,))])
    assert list(drawn.evidence.cross) == [(4, 66)]


@pytest.mark.parametrize(("make", "source"), [(tiny_flux, "added"), (tiny_flux_dev, "caption")])
def test_classes_are_looked_for_as_far_as_the_model_reads(make: Any, source: str, tmp_path: Path) -> None:
    caption = "light " * 300 + "on the dog"
    (drawn,) = sampler(make(tmp_path / "model"), steps=1).draw([Request(caption, 7, (DOG,))])
    assert drawn.queried == (source,)


def test_a_class_that_the_caption_does_not_name_is_put_in_front(family: tuple[str, Path]) -> None:
    _, folder = family
    drawings = list(
        sampler(folder).draw(
            [Request("a photo of a dog", 5, (DOG, SQUID)), Request("squid, a photo of a dog", 5, (DOG, SQUID))]
        )
    )
    assert [drawing.queried for drawing in drawings] == [("caption", "added"), ("caption", "caption")]
    difference = drawings[0].image.astype(int) - drawings[1].image
    assert np.abs(difference).max() <= 1  # only the rounding of another place in the batch
    assert drawings[0].evidence.cross[4, 4].shape == (2, 4, 4)


def test_batch_size_changes_nothing_but_rounding(family: tuple[str, Path]) -> None:
    _, folder = family
    requests = [Request(f"a {word} on the dog", seed, (DOG,)) for seed, word in enumerate(["bird", "cat", "light"])]
    alone = list(sampler(folder, batch_size=1).draw(requests))
    together = list(sampler(folder, batch_size=3).draw(requests))
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.image.astype(int) - other.image).max() <= 1
        assert np.allclose(one.evidence.cross[4, 4], other.evidence.cross[4, 4], rtol=5e-3)


def test_sizes_that_the_patches_do_not_fill_are_refused(family: tuple[str, Path]) -> None:
    _, folder = family
    with pytest.raises(UserError, match=r"72x64 cannot be drawn by this model: use multiples of 16"):
        sampler(folder, width=72)


def test_another_sampling_method_is_refused(family: tuple[str, Path]) -> None:
    _, folder = family
    with pytest.raises(UserError, match=r"generate\.scheduler=ddim does not suit .* leave it out"):
        load_pipeline(str(folder), device="cpu", scheduler="ddim")


@pytest.mark.slow
def test_full_size_layers_of_flux_at_1024_pixels() -> None:
    """One layer of each kind at FLUX.1's own width and sequence lengths: bit-identical output, maps of 64², and only
    chunks of the scores in memory. Slow: 340 million weights."""
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(num_layers=1, num_single_layers=1).to(torch.bfloat16).eval()
    inputs = {
        "hidden_states": torch.randn(1, 64 * 64, 64, dtype=torch.bfloat16),
        "encoder_hidden_states": torch.randn(1, 512, 4096, dtype=torch.bfloat16),
        "pooled_projections": torch.randn(1, 768, dtype=torch.bfloat16),
        "timestep": torch.tensor([0.5]),
        "img_ids": torch.cartesian_prod(torch.zeros(1), torch.arange(64.0), torch.arange(64.0)),
        "txt_ids": torch.zeros(512, 3),
        "return_dict": False,
    }
    weights = torch.zeros(1, 512, 1)
    weights[0, 3] = 1
    with torch.no_grad():
        bare = transformer(**inputs)[0]
        with JointAttentionCapture(transformer, ClassQuery((1,), weights), grid=(64, 64)) as capture:
            watched = transformer(**inputs)[0]
    assert torch.equal(bare, watched)
    assert capture.evidence()[0].cross[64, 64].shape == (1, 64, 64)
