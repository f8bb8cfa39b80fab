"""Newer families: the image is untouched, the maps are what the kernels compute, and no image depends on its batch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_flux2, transformer_qwenimage, transformer_z_image

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.models.families import FAMILIES, PIPELINES
from dsfactory.models.folder import default_size, read_folder
from dsfactory.models.loading import load_pipeline, load_text_embedder
from dsfactory.stages.generate.attention import AttentionCapture
from dsfactory.stages.generate.fused import FusedReads
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions
from tests import tiny_families as tiny
from tests.command import called

DOG, BIRD, SQUID = (ClassSpec(name=name) for name in ("dog", "bird", "squid"))
REQUESTS = [Request("a Dog on the light", 3, (DOG,)), Request("the bird and a dog in the traffic", 4, (DOG, BIRD))]
STEPS, GRID = 2, (4, 6)


@dataclass(frozen=True)
class Case:
    """A family, how it is drawn with here, and how its own pipeline is called for the same.

    Attributes:
        make: writes a tiny pipeline.
        guidance: the scale.
        call: the bare pipeline's arguments.
        pixels: a side of an image position.
        kernel: the module whose attention function is watched; None for PyTorch's own.
        rows: image positions among a kernel's queries.
        columns: text positions among its keys.
        dropped: what of the tokenizer's sequence is left out in front, by that sequence's length.
    """

    make: Callable[[Path], Path]
    guidance: float
    call: dict[str, Any]
    pixels: int = 16
    kernel: Any = None
    rows: slice = field(default_factory=lambda: slice(None))
    columns: slice = field(default_factory=lambda: slice(None))
    dropped: Callable[[int], int] = field(default=lambda length: 0)


IMAGE = GRID[0] * GRID[1]
_FLUX2 = {"kernel": transformer_flux2, "rows": slice(-IMAGE, None), "columns": slice(0, 512)}
_ZIMAGE = {"kernel": transformer_z_image, "rows": slice(0, IMAGE), "columns": slice(32, None)}
_QWEN = {
    "kernel": transformer_qwenimage, "rows": slice(-IMAGE, None), "columns": slice(0, -IMAGE),
    "dropped": lambda length: 34,
}  # fmt: skip
CASES = {
    "flux2 distilled": Case(tiny.tiny_flux2, 1.0, {"guidance_scale": 1.0}, **_FLUX2),
    "flux2 base": Case(partial(tiny.tiny_flux2, distilled=False), 4.0, {"guidance_scale": 4.0}, **_FLUX2),
    "zimage turbo": Case(tiny.tiny_zimage, 1.0, {"guidance_scale": 0.0}, **_ZIMAGE),
    "zimage": Case(tiny.tiny_zimage, 4.0, {"guidance_scale": 4.0}, **_ZIMAGE),
    "qwen": Case(tiny.tiny_qwen, 4.0, {"true_cfg_scale": 4.0, "negative_prompt": " "}, **_QWEN),
    "qwen unguided": Case(tiny.tiny_qwen, 1.0, {"true_cfg_scale": 1.0}, **_QWEN),
    "pixart": Case(tiny.tiny_pixart, 4.5, {"guidance_scale": 4.5, "use_resolution_binning": False}),
    "sana": Case(
        tiny.tiny_sana, 4.5, {"guidance_scale": 4.5, "use_resolution_binning": False}, pixels=32,
        dropped=lambda length: length - 300,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Any]:
    name, found = request.param, CASES[request.param]
    folder = cache(lambda: found.make(tmp_path_factory.mktemp("model") / name.replace(" ", "-")))()
    return found, load_pipeline(str(folder), device="cpu")


def sampler(case: Case, pipeline: Any, **changes: Any) -> Sampler:
    size = {"width": GRID[1] * case.pixels, "height": GRID[0] * case.pixels}
    settings: dict[str, Any] = {**size, "steps": STEPS, "guidance": case.guidance, "batch_size": 2, **changes}
    return Sampler(pipeline, find_mentions=find_mentions, **settings)


def watch(case: Case, pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[list[int]]]:
    """Queries and keys, ``(images, heads, positions, depth)``, and masks that kernels are given from here on, and the
    tokens that the text encoder is given."""
    seen: list[Any] = []
    if case.kernel is None:
        attend = torch.nn.functional.scaled_dot_product_attention

        def spy(query: torch.Tensor, key: torch.Tensor, *rest: Any, attn_mask: Any = None, **named: Any) -> Any:
            if key.shape[2] == 300 and query.shape[2] == IMAGE:
                seen.append((query, key, attn_mask))
            return attend(query, key, *rest, attn_mask=attn_mask, **named)

        monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", spy)
    else:
        dispatch = case.kernel.dispatch_attention_fn

        def joint_spy(query: torch.Tensor, key: torch.Tensor, *rest: Any, attn_mask: Any = None, **named: Any) -> Any:
            seen.append((query.transpose(1, 2), key.transpose(1, 2), attn_mask))
            return dispatch(query, key, *rest, attn_mask=attn_mask, **named)

        monkeypatch.setattr(case.kernel, "dispatch_attention_fn", joint_spy)
    tokens: list[list[int]] = []

    def keep(module: Any, args: Any, kwargs: Any) -> None:
        tokens.extend((args[0] if args else kwargs["input_ids"]).tolist())

    pipeline.text_encoder.register_forward_pre_hook(keep, with_kwargs=True)
    return seen, tokens


def probabilities(case: Case, pipeline: Any, seen: list[Any], image: int) -> torch.Tensor:
    """The mean over steps, layers and heads of an image's attention to text: ``(positions, text)``."""
    family = PIPELINES[type(pipeline).__name__]
    layers = [item for item in seen if item[0].shape[2] >= IMAGE]
    if family.name == "zimage":  # the refiners' are shorter than the whole
        longest = max(item[1].shape[2] for item in layers)
        layers = [item for item in layers if item[1].shape[2] == longest]
    if family.guided == "turns" and case.guidance > 1:
        of_call = len(layers) // (2 * STEPS)
        layers = [item for start in range(0, len(layers), 2 * of_call) for item in layers[start : start + of_call]]
    row = image if family.guided in ("first", "turns") else image - len(REQUESTS)
    maps = []
    for query, key, mask in layers:
        scores = query[row, :, case.rows] @ key[row, :, case.columns].transpose(1, 2) / query.shape[3] ** 0.5
        if mask is not None:
            own = mask[row][..., case.columns]
            scores = scores.masked_fill(~own, -torch.inf) if own.dtype == torch.bool else scores + own
        maps.append(scores.softmax(-1).mean(0))
    return torch.stack(maps).mean(0)


def test_the_image_is_the_pipelines_and_maps_are_the_kernels_probabilities(
    case: tuple[Case, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, pipeline = case
    for request, drawing in zip(REQUESTS, sampler(given, pipeline, batch_size=1).draw(REQUESTS), strict=True):
        bare = pipeline(
            prompt=request.prompt,
            width=GRID[1] * given.pixels,
            height=GRID[0] * given.pixels,
            num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="pt",
            **given.call,
        ).images[0]
        assert np.array_equal(drawing.image, bare.mul(255).round().byte().permute(1, 2, 0).numpy())
    seen, tokens = watch(given, pipeline, monkeypatch)
    drawn = list(sampler(given, pipeline).draw(REQUESTS))
    negatives = len(tokens) - len(REQUESTS)  # the negative prompt is encoded first
    for image, drawing in enumerate(drawn):
        assert list(drawing.evidence.cross) == [GRID]
        assert bool(drawing.evidence.affinity) != bool(PIPELINES[type(pipeline).__name__].unreadable)
        full = probabilities(given, pipeline, seen, image)
        ids = tokens[image + negatives]
        for position, name in enumerate(spec.name for spec in REQUESTS[image].classes):
            places = [place - given.dropped(len(ids)) for place in last_place(pipeline.tokenizer, ids, name)]
            expected_map = full[:, places].mean(1).reshape(GRID).numpy()
            np.testing.assert_allclose(drawing.evidence.cross[GRID][position], expected_map, rtol=3e-3, atol=1e-6)


def last_place(tokenizer: Any, ids: list[int], word: str) -> list[int]:
    """Where a word's tokens stand at last in a sequence, whether its first letter is large or not."""
    for spelled in (word, word.capitalize()):
        own = tokenizer(f"a {spelled}", add_special_tokens=False)["input_ids"]
        own = own[-len(word) :] if len(own) > len(word) else own[-1:]
        for start in range(len(ids) - len(own), -1, -1):
            if ids[start : start + len(own)] == own:
                return list(range(start, start + len(own)))
    raise AssertionError(f"{word} is not there")


def test_no_image_depends_on_its_batch(case: tuple[Case, Any]) -> None:
    given, pipeline = case
    alone = list(sampler(given, pipeline, batch_size=1).draw(REQUESTS))
    together = list(sampler(given, pipeline, batch_size=2).draw(REQUESTS))
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.image.astype(int) - other.image).max() <= 1
        np.testing.assert_allclose(one.evidence.cross[GRID], other.evidence.cross[GRID], rtol=5e-3)


def test_a_class_that_the_caption_does_not_name_is_found_all_the_same(case: tuple[Case, Any]) -> None:
    given, pipeline = case
    (drawn,) = sampler(given, pipeline).draw([Request("a photo of a dog", 5, (SQUID, DOG))])
    assert drawn.queried == ("added" if PIPELINES[type(pipeline).__name__].joint else "class-prompt", "caption")
    assert drawn.evidence.cross[GRID].shape == (2, *GRID) and drawn.evidence.cross[GRID].min() > 0


@pytest.mark.long
def test_what_accelerators_read_is_what_the_cpu_reads(case: tuple[Case, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """In 16 bits, as on a GPU: the fused kernel, masks included, asked on the CPU."""
    given, pipeline = case
    pipeline = load_pipeline(pipeline.name_or_path, "cpu", "bf16")
    exact = list(sampler(given, pipeline, steps=3).draw(REQUESTS))
    begin = AttentionCapture.__init__

    def begin_fused(capture: AttentionCapture, network: Any, query: ClassQuery, **settings: Any) -> None:
        begin(capture, network, query, **settings)
        capture._fused = FusedReads(query.weights, query.mask)

    monkeypatch.setattr(AttentionCapture, "__init__", begin_fused)
    for one, other in zip(exact, sampler(given, pipeline, steps=3).draw(REQUESTS), strict=True):
        assert np.array_equal(one.image, other.image)
        np.testing.assert_allclose(other.evidence.cross[GRID], one.evidence.cross[GRID], rtol=1e-2)
        assert (other.evidence.cross[GRID] != one.evidence.cross[GRID]).any()


def test_folders_of_all_families_are_read(case: tuple[Case, Any]) -> None:
    given, pipeline = case
    layout = read_folder(Path(pipeline.name_or_path), "model")
    assert layout.missing == () and FAMILIES[layout.family] is PIPELINES[type(pipeline).__name__]
    assert default_size(Path(pipeline.name_or_path))[0] % given.pixels == 0
    with pytest.raises(UserError, match=f"use multiples of {given.pixels}"):
        sampler(given, pipeline, width=72)


def test_captions_are_ranked_by_the_models_own_text_encoder(case: tuple[Case, Any]) -> None:
    embed = load_text_embedder(case[1].name_or_path, device="cpu")
    together = embed(["a dog", "the bird on the traffic light"])
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(embed(["a dog"])[0], together[0], atol=0.03)  # in bfloat16
    assert np.abs(together[0] - together[1]).max() > 0.03


def test_t5_may_come_as_a_sentencepiece_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in PixArt-Σ's repository, which has no tokenizer.json; reading it takes a library that is not always there."""
    folder = tiny.tiny_pixart(tmp_path / "model")
    (folder / "tokenizer/tokenizer.json").rename(folder / "tokenizer/spiece.model")
    layout = read_folder(folder, "model")
    assert layout.missing == () and "tokenizer/spiece.model" in layout.files
    monkeypatch.setattr("dsfactory.models.loading.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"has its tokenizer as spiece\.model: pip install sentencepiece protobuf"):
        load_pipeline(str(folder), device="cpu")


@pytest.mark.long
def test_a_run_with_a_model_whose_self_attention_cannot_be_read(tmp_path: Path) -> None:
    folder = tiny.tiny_sana(tmp_path / "model")
    arguments = ["--classes", "dog,bird", "--num", "1", "--width", "128", "--height", "128", "--set", "prompts.pool=2"]
    done = called("run", "--out", "a", "--model", str(folder), *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "its self-attention is linear and has no map" in done.stderr


def test_diffusers_has_all_pipelines() -> None:
    assert all(hasattr(diffusers, kind) for kind in PIPELINES)
    assert all(hasattr(diffusers, family.denoiser) for family in FAMILIES.values())
