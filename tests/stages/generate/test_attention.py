from functools import cache

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0

from dsfactory.models.loading import load_pipeline
from dsfactory.stages.generate.attention import AttentionCapture, spaced_steps
from dsfactory.stages.generate.fused import FusedReads
from dsfactory.stages.generate.probabilities import fuse_grids, spread
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes.propagation import AFFINITY_POWER
from tests.stages.generate.conftest import FAMILIES

PROMPTS = ["a photo of a dog", "the bird and the cat", "a hot traffic light"]
STEPS = 3
WIDTH, HEIGHT = 64, 96
TOKENS = [[5], [2, 5], [3, 4]]


def draw(pipeline, guidance=5.0, width=WIDTH, height=HEIGHT, prompts=PROMPTS):
    return pipeline(
        prompts,
        width=width,
        height=height,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in range(len(prompts))],
        output_type="pt",
    ).images


def query(tokens=TOKENS):
    weights = torch.zeros(len(tokens), 77, 1)
    for image, indices in enumerate(tokens):
        weights[image, indices, 0] = 1 / len(indices)
    return ClassQuery(classes=(1,) * len(tokens), weights=weights)


def text_states(pipeline, prompts):
    return pipeline.encode_prompt(
        prompt=prompts, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )[0]


class Reference(AttnProcessor2_0):
    """Keeps every full attention map of a layer: what the capture must agree with, at any price."""

    def __init__(self, states=None):
        super().__init__()
        self.states = states
        self.maps = []
        self.state_maps = []

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **kwargs):
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        self.maps.append(self.attention(attn, hidden_states, source))
        if self.states is not None:
            self.state_maps.append(self.attention(attn, hidden_states[-len(self.states) :], self.states))
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask)

    def attention(self, attn, hidden_states, source):
        images = len(hidden_states)
        query, key = (
            layer(states).view(images, -1, attn.heads, attn.inner_dim // attn.heads).transpose(1, 2).double()
            for layer, states in ((attn.to_q, hidden_states), (attn.to_k, source))
        )
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        return torch.softmax(scores, dim=-1).mean(1)


@pytest.fixture
def observed(pipeline):
    """The pipeline with reference processors in every attention layer, taken out again afterwards."""

    def install(kind, states=None):
        names = [name for name in pipeline.unet.attn_processors if f".{kind}." in name]
        references = {name: Reference(states) for name in names}
        pipeline.unet.set_attn_processor({**before, **references})
        return list(references.values())

    before = dict(pipeline.unet.attn_processors)
    yield install
    pipeline.unet.set_attn_processor(dict(before))


def by_size(references, of="maps", images=3):
    """Mean of the last images' maps over steps and layers, per number of positions."""
    sizes = {}
    for reference in references:
        for maps in getattr(reference, of):
            sizes.setdefault(maps.shape[1], []).append(maps[-images:])
    return {size: torch.stack(maps).mean(0) for size, maps in sizes.items()}


@pytest.mark.parametrize("guidance", [5.0, 0.0])
@pytest.mark.parametrize("size", [(64, 96), (72, 104)])
def test_images_are_the_same_to_the_bit(pipeline, guidance, size):
    bare = draw(pipeline, guidance, *size)
    with AttentionCapture(pipeline.unet, query(), affinity_steps=(0, 2)) as capture:
        captured = draw(pipeline, guidance, *size)
    assert torch.equal(bare, captured)
    assert len(capture.evidence()) == 3


@pytest.mark.parametrize("guidance", [5.0, 0.0])
def test_maps_equal_the_full_softmax_of_the_conditional_half(pipeline, observed, guidance):
    references = observed("attn2")
    with AttentionCapture(pipeline.unet, query()) as capture:
        draw(pipeline, guidance)
    assert len(references[0].maps) == STEPS
    assert len(references[0].maps[0]) == (6 if guidance > 1 else 3)
    expected = by_size(references)
    for image, evidence in enumerate(capture.evidence()):
        assert {height * width for height, width in evidence.cross} == expected.keys()
        for (height, width), maps in evidence.cross.items():
            assert maps.dtype == np.float16
            assert height / width == HEIGHT / WIDTH
            full = expected[height * width][image][:, TOKENS[image]].mean(1)
            np.testing.assert_allclose(maps[0], full.view(height, width), rtol=2e-3, atol=1e-6)
        assert evidence.affinity == {}


def test_the_unconditional_half_says_something_else(pipeline, observed):
    references = observed("attn2")
    with AttentionCapture(pipeline.unet, query()) as capture:
        draw(pipeline)
    sizes = [(reference, reference.maps[0].shape[1]) for reference in references]
    unconditional = torch.stack(
        [maps[:3] for reference, size in sizes if size == sizes[0][1] for maps in reference.maps]
    )
    grid = next(grid for grid in capture.evidence()[0].cross if grid[0] * grid[1] == sizes[0][1])
    expected = unconditional.mean(0)[0][:, 5].view(grid)
    assert not np.allclose(capture.evidence()[0].cross[grid][0], expected, rtol=0.05)


def test_classes_that_the_caption_does_not_name_are_asked_through_other_keys(pipeline, observed):
    states = text_states(pipeline, ["dog; cat", "traffic light", "bird"])
    references = observed("attn2", states)
    weights, state_weights = torch.zeros(3, 77, 2), torch.zeros(2, 77, 2)
    weights[:, 5, 0] = 1
    state_weights[0, 3, 1] = 1
    state_weights[1, [1], 1] = 1
    asked = ClassQuery((2, 1, 2), weights, torch.tensor([0, 2]), states[[0, 2]], state_weights)
    with AttentionCapture(pipeline.unet, asked) as capture:
        draw(pipeline)
    captions, prompted = by_size(references), by_size(references, "state_maps")
    evidence = capture.evidence()
    assert [len(next(iter(item.cross.values()))) for item in evidence] == [2, 1, 2]
    for (height, width), maps in evidence[2].cross.items():
        for found, full, token in ((maps[0], captions, 5), (maps[1], prompted, 1)):
            expected = full[height * width][2][:, token].view(height, width)
            np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_accelerators_read_is_what_the_cpu_reads(model_folder, family):
    """Accelerators ask the fused kernel; here it is asked on the CPU, which has one too."""
    pipeline = load_pipeline(str(model_folder(family)), "cpu", "bf16")
    states = text_states(pipeline, ["a dog"]) if family == "sd" else None
    asked = query()
    if states is not None:
        state_weights = torch.zeros(1, 77, 1)
        state_weights[0, 2, 0] = 1
        asked = ClassQuery((1,) * 3, asked.weights, torch.tensor([1]), states, state_weights)
    found = []
    for fused in (False, True):
        capture = AttentionCapture(pipeline.unet, asked)
        capture._fused = FusedReads(asked.weights) if fused else None
        with capture:
            draw(pipeline)
        found.append(capture.maps()[0])
    for grid, exact in found[0].items():
        torch.testing.assert_close(found[1][grid], exact, rtol=5e-3, atol=1e-5)
        assert not torch.equal(found[1][grid], exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_the_same_to_the_bit_on_a_gpu(model_folder, family, dtype):
    pipeline = load_pipeline(str(model_folder(family)), "cuda", dtype)
    asked = ClassQuery((1,) * 3, query().weights.cuda())
    bare = draw(pipeline)
    captures = [AttentionCapture(pipeline.unet, asked, affinity_steps=(0, 2)) for _ in range(2)]
    captures[1]._fused = None
    for capture in captures:
        with capture:
            captured = draw(pipeline)
        assert torch.equal(bare, captured)
    fused, exact = (capture.maps()[0] for capture in captures)
    for grid, maps in exact.items():
        torch.testing.assert_close(fused[grid], maps, rtol=5e-3, atol=1e-5)


def test_affinity_is_the_power_of_the_mean_self_attention(pipeline, observed):
    references = observed("attn1")
    with AttentionCapture(pipeline.unet, query(), affinity_steps=(0, 2)) as capture:
        draw(pipeline)
    cross, affinity = capture.maps()
    grid = max(cross)
    assert affinity.keys() == {grid}
    size = grid[0] * grid[1]
    read = [[reference.maps[step][-3:] for step in (0, 2)] for reference in references]
    mean = torch.stack([maps for steps in read for maps in steps if maps.shape[1] == size]).mean(0).float()
    expected = spread(mean, fuse_grids(cross, grid), AFFINITY_POWER)
    torch.testing.assert_close(affinity[grid], expected, rtol=0, atol=1e-3)
    assert [float(item.affinity[grid].max()) for item in capture.evidence()] == [1.0] * 3


def test_where_every_grid_is_too_fine_the_coarsest_is_read(pipeline, monkeypatch):
    with AttentionCapture(pipeline.unet, query()) as all_grids:
        draw(pipeline)
    monkeypatch.setattr("dsfactory.stages.generate.evidence.MAX_SIDE", 1)
    with AttentionCapture(pipeline.unet, query()) as limited:
        draw(pipeline)
    for every, one in zip(all_grids.evidence(), limited.evidence(), strict=True):
        coarsest = min(every.cross)
        assert one.cross.keys() == {coarsest} < every.cross.keys()
        np.testing.assert_array_equal(one.cross[coarsest], every.cross[coarsest])


def hooks(unet):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in unet.modules())


def test_nothing_is_left_behind_even_by_an_error(load):
    unet = load("sd").unet
    before, processors = hooks(unet), unet.attn_processors
    with pytest.raises(KeyboardInterrupt), AttentionCapture(unet, query(), affinity_steps=(0,)):
        assert hooks(unet) > before
        raise KeyboardInterrupt
    assert hooks(unet) == before
    assert all(unet.attn_processors[name] is processor for name, processor in processors.items())


def test_other_processors_are_captured_alike(load):
    pipeline = load("sd")
    with AttentionCapture(pipeline.unet, query()) as plain:
        draw(pipeline)
    before = dict(pipeline.unet.attn_processors)
    pipeline.enable_attention_slicing(1)
    try:
        with AttentionCapture(pipeline.unet, query()) as sliced:
            draw(pipeline)
    finally:
        pipeline.unet.set_attn_processor(before)
    for one, other in zip(plain.evidence(), sliced.evidence(), strict=True):
        for grid, maps in one.cross.items():
            np.testing.assert_allclose(maps, other.cross[grid], rtol=5e-3)


def test_a_layer_that_cannot_be_read_is_named(model_folder):
    unet = UNet2DConditionModel.from_pretrained(model_folder("sd"), subfolder="unet")
    inputs = (torch.zeros(3, 4, 8, 8), 1, torch.zeros(3, 77, 32))
    unet.fuse_qkv_projections()
    with torch.no_grad(), AttentionCapture(unet, query()) as capture:
        unet(*inputs)
    with pytest.raises(RuntimeError, match="attn2"):
        capture.evidence()


def test_a_capture_without_a_call_says_so(load):
    with AttentionCapture(load("sd").unet, query()) as capture:
        pass
    with pytest.raises(RuntimeError, match="any layer"):
        capture.evidence()


def test_a_batch_of_another_size_is_refused(load):
    pipeline = load("sd")
    with pytest.raises(ValueError, match="batch of 4 is neither 3 nor twice"), AttentionCapture(pipeline.unet, query()):
        draw(pipeline, prompts=PROMPTS[:2])


def test_its_own_time_is_measured_on_request(load):
    pipeline = load("sd")
    with (
        AttentionCapture(pipeline.unet, query(), timed=True) as timed,
        AttentionCapture(pipeline.unet, query()) as not_timed,
    ):
        draw(pipeline)
    timed.evidence()
    assert 0 < timed.seconds < 60
    assert not_timed.seconds == 0


@pytest.mark.parametrize(
    ("steps", "count", "expected"), [(25, 4, (3, 9, 15, 21)), (4, 1, (2,)), (1, 1, (0,)), (3, 5, (0, 1, 2))]
)
def test_spaced_steps_lie_in_the_middle_of_equal_parts(steps, count, expected):
    assert spaced_steps(steps, count) == expected


@cache
def full_size(name):
    """A network's shapes only: on the meta device a layer of full size costs nothing."""
    with torch.device("meta"):
        return UNet2DConditionModel(**FULL_SIZE[name])


SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8}
SD21 = {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
FULL_SIZE = {"SD15": SD15, "SD21": SD21, "SDXL": SDXL}


@pytest.mark.parametrize(
    ("name", "latent", "grids", "affinity"),
    [
        ("SD15", (64, 64), {(64, 64), (32, 32), (16, 16), (8, 8)}, (32, 32)),
        ("SD15", (64, 96), {(64, 96), (32, 48), (16, 24), (8, 12)}, (32, 48)),
        ("SD21", (96, 96), {(48, 48), (24, 24), (12, 12)}, (48, 48)),
        ("SDXL", (128, 128), {(64, 64), (32, 32)}, (32, 32)),
        ("SDXL", (64, 64), {(32, 32), (16, 16)}, (32, 32)),
    ],
    ids=["sd15-512", "sd15-512x768", "sd21-768", "sdxl-1024", "sdxl-512"],
)
def test_full_size_architectures_have_these_grids(name, latent, grids, affinity):
    unet = full_size(name)
    with torch.device("meta"), torch.no_grad():
        added = {"text_embeds": torch.zeros(2, 1280), "time_ids": torch.zeros(2, 6)}
        states = torch.zeros(2, 77, unet.config.cross_attention_dim)
        ask = ClassQuery(
            (2,), torch.zeros(1, 77, 2), torch.zeros(1, dtype=torch.int64), states[:1], torch.zeros(1, 77, 2)
        )
        with AttentionCapture(unet, ask, affinity_steps=(0,)) as capture:
            unet(torch.zeros(2, 4, *latent), 1, states, added_cond_kwargs=added)
        cross, spread_maps = capture.maps()
    assert cross.keys() == grids
    assert spread_maps.keys() == {affinity}
    assert all(maps.shape == (1, height * width, 2) for (height, width), maps in cross.items())
