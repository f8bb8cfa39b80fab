"""Recipes of reading attention: the image stays what it was, and each part computes what its paper says."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import SD3Transformer2DModel

from dsfactory.core.classes import ClassSpec
from dsfactory.models.loading import load_pipeline
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.joint import JointAttentionCapture
from dsfactory.stages.generate.probabilities import split_heads, token_probabilities
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes import Recipe
from dsfactory.stages.generate.recipes.blocks import reader_blocks
from dsfactory.stages.generate.recipes.content import content_spans
from dsfactory.stages.generate.recipes.edges import EdgeWatch, edge_plane
from dsfactory.stages.generate.recipes.heads import head_weights
from dsfactory.stages.generate.recipes.late import late_passes, late_steps
from dsfactory.stages.generate.recipes.propagation import propagate
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions
from tests.tiny_models import tiny_flux, tiny_sd3

DOG, CAT = ClassSpec(name="dog"), ClassSpec(name="cat")


def draw(pipeline: Any, recipe: str, *requests: Request, steps: int = 4) -> list[Any]:
    settings: dict[str, Any] = {"width": 64, "height": 64, "steps": steps, "guidance": 4.0, "batch_size": 2}
    sampler = Sampler(pipeline, find_mentions=find_mentions, recipe=Recipe.parse(recipe), **settings)
    return list(sampler.draw(requests))


ASKED = (Request("a photo of a dog on the grass", 7, (DOG,)), Request("a big dog", 8, (DOG, CAT)))


@pytest.mark.parametrize("recipe", ["late", "heads", "content", "square", "sharp+edges", "heads+content+late"])
def test_the_image_is_the_same_to_the_last_bit_and_the_evidence_small(load: Any, recipe: str) -> None:
    plain, read = (draw(load("sd"), name, *ASKED) for name in ("mean", recipe))
    for before, after in zip(plain, read, strict=True):
        assert np.array_equal(before.image, after.image)
        assert before.evidence.cross.keys() == after.evidence.cross.keys()
        assert all(len(maps) == len(before.evidence.cross[grid]) for grid, maps in after.evidence.cross.items())
        different = [
            not np.array_equal(maps, after.evidence.cross[grid]) for grid, maps in before.evidence.cross.items()
        ]
        assert any(different) == any(part in recipe for part in ("late", "heads", "content"))
    assert after.evidence.affinity.keys() == before.evidence.affinity.keys()
    assert len(after.evidence.edges) == ("edges" in recipe)


def test_evidence_with_edges_is_read_as_it_was_written(load: Any) -> None:
    (drawn,) = draw(load("sd"), "edges", ASKED[0])
    again = type(drawn.evidence).from_bytes(drawn.evidence.to_bytes())
    ((grid, plane),) = again.edges.items()
    assert np.array_equal(plane, drawn.evidence.edges[grid]) and plane.shape == (1, *grid)
    assert plane.max() == 1.0


def test_late_is_the_second_half_of_the_steps(load: Any) -> None:
    assert late_steps(5) == (2, 3, 4) and late_steps(1) == (0,)
    assert late_passes((100, 600, 300)) == (0, 2) and late_passes((900,)) == (0,)
    (whole,), (late,) = (draw(load("sd"), recipe, ASKED[0], steps=1) for recipe in ("mean", "late"))
    assert all(np.array_equal(maps, late.evidence.cross[grid]) for grid, maps in whole.evidence.cross.items())


def test_heads_weigh_what_they_add_to_the_output() -> None:
    generator = torch.Generator().manual_seed(0)
    mixed, projection = (torch.randn(*shape, generator=generator) for shape in ((2, 5, 12), (8, 12)))
    parts = torch.stack([mixed[..., 4 * h : 4 * h + 4] @ projection[:, 4 * h : 4 * h + 4].T for h in range(3)], 1)
    expected = (parts * parts.sum(1, keepdim=True)).sum(-1).clamp_min(0)
    expected = expected / expected.sum(1, keepdim=True)
    found = head_weights(mixed, projection, 3)
    torch.testing.assert_close(found, expected)
    query, key, weights = (torch.randn(*shape, generator=generator) for shape in ((2, 5, 12), (2, 7, 12), (2, 7, 2)))
    maps = token_probabilities(query, key, weights, 3, 0.5, shares=found)
    chances = (split_heads(query, 3) @ split_heads(key, 3).transpose(2, 3) * 0.5).softmax(-1)
    torch.testing.assert_close(maps, torch.einsum("bhpt,bhp,btc->bpc", chances, found, weights))
    assert torch.equal(head_weights(torch.zeros(1, 2, 12), projection, 3), torch.full((1, 3, 2), 1 / 3))


def test_maps_by_content_words_are_shares_of_them(load: Any) -> None:
    text = "a photo of a dog on the grass"
    assert [text[start:stop] for ((start, stop),) in content_spans(text)] == ["photo", "dog", "grass"]
    (drawn,) = draw(load("sd"), "content", Request(text, 7, (DOG,)))
    words = [ClassSpec(name=name) for name in ("photo", "dog", "grass")]
    (parts,) = draw(load("sd"), "mean", Request(text, 7, tuple(words)))
    for grid, maps in parts.evidence.cross.items():
        values = maps.astype(np.float32)
        assert np.allclose(drawn.evidence.cross[grid][0], values[1] / values.sum(0), rtol=5e-3)


def two_things(noise: float) -> torch.Tensor:
    """Self-attention of 4 x 6 positions: the left half attends to itself, the right half to itself."""
    side = torch.arange(24) % 6 < 3
    attention = (side[:, None] == side[None]).float() + noise
    return (attention / attention.sum(-1, keepdim=True))[None]


def test_edges_lie_where_self_attention_changes() -> None:
    plane = edge_plane(two_things(0.05), (4, 6)).view(4, 6)
    assert torch.equal(plane > 0.5, torch.tensor([[False, False, True, True, False, False]] * 4))
    flat = edge_plane(torch.full((1, 24, 24), 1 / 24), (4, 6))
    assert float(flat.max()) == 0.0


def test_edges_are_those_of_the_moment_of_largest_change() -> None:
    watch = EdgeWatch()
    assert watch.plane() is None
    flat = torch.full((1, 24, 24), 1 / 24)
    for step, attention in enumerate((flat, flat, two_things(0.05), two_things(0.06))):
        watch.add(step, (4, 6), attention)
        watch.add(step, (4, 6), attention)  # of another layer
    found = watch.plane()
    assert found is not None and found[0] == (4, 6)
    torch.testing.assert_close(found[1], edge_plane(two_things(0.05), (4, 6)))


@pytest.mark.parametrize("recipe", ["mean", "square", "sharp"])
def test_a_map_that_lights_up_a_part_is_spread_over_the_whole_thing(recipe: str) -> None:
    maps = torch.zeros(1, 24, 1)
    maps[0, 1] = 1.0
    found = propagate(two_things(0.3), maps, Recipe.parse(recipe)).view(4, 6)
    assert float(found[:, :3].min()) > 0.95 and float(found[:, 3:].max()) < 0.05


def test_the_blocks_of_the_papers_are_named() -> None:
    assert reader_blocks("SD3Transformer2DModel", 24) == ("transformer_blocks.9.attn",)
    assert reader_blocks("SD3Transformer2DModel", 38) == ("transformer_blocks.9.attn",)
    assert reader_blocks("FluxTransformer2DModel", 19) == ("transformer_blocks.12.attn", "transformer_blocks.17.attn")
    assert reader_blocks("SD3Transformer2DModel", 6) == ("transformer_blocks.2.attn",)
    with pytest.raises(ValueError, match=r"reads Stable Diffusion 3 and FLUX\.1"):
        reader_blocks("QwenImageTransformer2DModel", 60)


@pytest.mark.parametrize("make", [tiny_sd3, tiny_flux])
def test_one_block_is_read_with_the_image_in_its_softmax(make: Any, tmp_path: Any, monkeypatch: Any) -> None:
    pipeline = load_pipeline(str(make(tmp_path / "model")), device="cpu")
    (plain,) = draw(pipeline, "mean", Request("a photo of a dog", 7, (DOG,)))
    keys = []

    def spy(query: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        keys.append(key.shape[1])
        return token_probabilities(query, key, *rest)

    monkeypatch.setattr("dsfactory.stages.generate.attention.token_probabilities", spy)
    (read,) = draw(pipeline, "block", Request("a photo of a dog", 7, (DOG,)))
    text = 77 + 256 if make is tiny_sd3 else 256
    assert np.array_equal(plain.image, read.image)
    assert keys == [text + 16] * 4  # one block, four steps
    maps = read.evidence.cross[4, 4]
    assert maps.shape == (1, 4, 4) and 0 < maps.min() < maps.max() < plain.evidence.cross[4, 4].max()
    assert read.evidence.affinity.keys() == plain.evidence.affinity.keys()


@pytest.mark.parametrize("make", [tiny_sd3, tiny_flux])
def test_concepts_are_seen_that_the_prompt_does_not_name_and_the_image_knows_nothing(make: Any, tmp_path: Any) -> None:
    pipeline = load_pipeline(str(make(tmp_path / "model")), device="cpu")
    named = Request("a photo of a dog", 7, (DOG,)), Request("a bird", 8, (ClassSpec(name="bird"),))
    asked = Request("a photo of a dog", 7, (CAT, DOG)), Request("a bird", 8, (CAT,))
    bare, (read, beside) = draw(pipeline, "mean", *named), draw(pipeline, "concepts", *asked)
    assert np.array_equal(bare[0].image, read.image) and np.array_equal(bare[1].image, beside.image)
    assert read.queried == ("concept", "concept") and beside.queried == ("concept",)
    maps = read.evidence.cross[4, 4].astype(np.float32)
    assert maps.shape == (2, 4, 4) and maps.min() > 0 and maps.sum(0).max() < 1
    assert not np.allclose(maps[0], maps[1]) and list(read.evidence.affinity) == [(4, 4)]
    (alone,) = draw(pipeline, "concepts", Request("a bird", 8, (CAT,)))
    np.testing.assert_allclose(alone.evidence.cross[4, 4], beside.evidence.cross[4, 4], rtol=5e-3)


def test_a_concept_travels_as_the_same_word_in_a_prompt_does() -> None:
    """The prompt is one token, and so is the concept: both see themselves and the image, in every block."""
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=4, patch_size=1, in_channels=4, out_channels=4, num_layers=4, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=12, caption_projection_dim=16, pooled_projection_dim=6,
        pos_embed_max_size=4, qk_norm="rms_norm",
    ).eval()  # fmt: skip
    word = torch.randn(2, 1, 12)
    query = ClassQuery((1,) * 2, torch.zeros(2, 1, 1), states=word, state_mask=torch.ones(2, 1, dtype=torch.bool))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    with JointAttentionCapture(transformer, query, grid=(4, 4), recipe=Recipe(concepts=True)) as capture:
        stream = capture._stream
        assert stream is not None
        for block in transformer.transformer_blocks[:-1]:  # the last one has no use for text
            block.register_forward_hook(lambda module, args, output: seen.append((output[0], stream._hidden)))
        with torch.no_grad():
            transformer(torch.randn(2, 4, 4, 4), word, torch.randn(2, 6), torch.tensor([500.0, 500.0]))
    assert len(seen) == 3
    for theirs, ours in seen:
        torch.testing.assert_close(ours, theirs)
    assert (capture.evidence()[0].cross[4, 4] == 1).all()  # it has no rival


@pytest.mark.parametrize(("recipe", "says"), [("head", "no part 'head'"), ("square+sharp", "two ways of the same")])
def test_a_recipe_that_is_none_is_refused(recipe: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GenerateConfig(recipe=recipe)
    assert "recipe" not in GenerateConfig().identity()
    assert GenerateConfig(recipe="heads").identity()["recipe"] == "heads"
