import numpy as np
import pytest
import torch
from diffusers import LatentConsistencyModelPipeline

from dsfactory.core.classes import ClassSpec
from dsfactory.core.seeds import derive_seed
from dsfactory.errors import UserError
from dsfactory.models.loading import compile_blocks, load_pipeline
from dsfactory.stages.generate.sampler import Request, Sampler, image_levels
from dsfactory.stages.prompts.vocabulary import find_mentions

STEPS = 2
DOG, CAT = ClassSpec(name="dog"), ClassSpec(name="cat")
REQUESTS = [
    Request("a photo of a dog", 11, (DOG,)),
    Request("a photo of a dog", 12, (DOG,)),
    Request("the cat on the bird", 13, (CAT, DOG)),
    Request("two cats and a dog", 14, (DOG, CAT)),
    Request("no animal", 15, (CAT,)),
]


def sampler(pipeline, **changes):
    settings = {"width": 64, "height": 96, "steps": STEPS, "guidance": 5.0, "find_mentions": find_mentions}
    return Sampler(pipeline, **(settings | changes))


def images(drawings):
    return np.stack([drawing.image for drawing in drawings]).astype(int)


def same_up_to_rounding(left, right):
    """Products of another shape round differently: by one of 256 levels where a value lies between two."""
    difference = np.abs(images(left) - images(right))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    for one, other in zip(left, right, strict=True):
        for kind in ("cross", "affinity"):
            for grid, maps in getattr(one.evidence, kind).items():
                np.testing.assert_allclose(maps, getattr(other.evidence, kind)[grid], rtol=0, atol=2e-3)


def test_a_drawing_has_its_image_its_evidence_and_where_that_comes_from(pipeline):
    drawings = list(sampler(pipeline).draw(REQUESTS))
    assert images(drawings).shape == (5, 96, 64, 3)
    assert all(drawing.image.dtype == np.uint8 and drawing.reason == "" for drawing in drawings)
    assert [drawing.seed for drawing in drawings] == [11, 12, 13, 14, 15]
    assert {drawing.attempts for drawing in drawings} == {1}
    assert [drawing.queried for drawing in drawings] == [
        ("caption",),
        ("caption",),
        ("caption", "class-prompt"),
        ("caption", "caption"),
        ("class-prompt",),
    ]
    for drawing, request in zip(drawings, REQUESTS, strict=True):
        for maps in (*drawing.evidence.cross.values(), *drawing.evidence.affinity.values()):
            assert len(maps) == len(request.classes)
            assert all(plane.max() > 0 for plane in maps)


def test_the_image_is_that_of_the_bare_pipeline(pipeline):
    drawing = next(sampler(pipeline).draw(REQUESTS[:1]))
    bare = pipeline(
        REQUESTS[0].prompt,
        width=64,
        height=96,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        generator=[torch.Generator().manual_seed(11)],
        output_type="pil",
    ).images[0]
    np.testing.assert_array_equal(drawing.image, np.asarray(bare))


def test_batch_size_order_and_neighbours_change_nothing_but_rounding(pipeline):
    alone = list(sampler(pipeline, batch_size=1).draw(REQUESTS))
    together = list(sampler(pipeline, batch_size=8).draw(REQUESTS))
    turned = list(sampler(pipeline, batch_size=3).draw(REQUESTS[::-1]))[::-1]
    for other in (together, turned):
        same_up_to_rounding(alone, other)


def test_drawing_again_gives_the_same_bytes(load):
    first, second = (list(sampler(load("sd"), batch_size=2).draw(REQUESTS)) for _ in range(2))
    np.testing.assert_array_equal(images(first), images(second))
    assert [one.evidence.to_bytes() for one in first] == [other.evidence.to_bytes() for other in second]


def test_seeds_prompts_and_negative_prompts_matter(load):
    pipeline = load("sd")
    base, seed, prompt = images(sampler(pipeline).draw([REQUESTS[0], REQUESTS[1], Request("a bird", 11, (DOG,))]))
    negative = images(sampler(pipeline, negative_prompt="dog").draw(REQUESTS[:1]))[0]
    for other in (seed, prompt, negative):
        assert np.abs(base - other).max() > 10


def test_a_caption_longer_than_the_encoder_reads_is_cut_in_silence(load, capfd):
    drawing = next(sampler(load("sd")).draw([Request("a dog " + "on the light " * 60, 1, (DOG, CAT))]))
    assert drawing.queried == ("caption", "class-prompt")
    assert capfd.readouterr() == ("", "")


def test_without_guidance_there_is_no_unconditional_half(load):
    pipeline = load("sd")
    batches = []
    handle = pipeline.unet.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    try:
        drawings = list(sampler(pipeline, guidance=1.0).draw(REQUESTS))
        list(sampler(pipeline, guidance=5.0).draw(REQUESTS))
    finally:
        handle.remove()
    assert batches == [5] * STEPS + [10] * STEPS
    assert images(drawings).shape[0] == 5
    assert len({drawing.image.tobytes() for drawing in drawings}) == 5


def test_a_stochastic_method_keeps_each_image_to_its_own_noise(model_folder):
    pipeline = load_pipeline(str(model_folder("sd")), "cpu", scheduler="euler-ancestral")
    alone = list(sampler(pipeline, batch_size=1).draw(REQUESTS))
    same_up_to_rounding(alone, list(sampler(pipeline, batch_size=4).draw(REQUESTS)))


@pytest.fixture
def blind(model_folder):
    """A pipeline whose decoder has lost its weights: every image is one flat grey."""
    pipeline = load_pipeline(str(model_folder("sd")), "cpu")
    with torch.no_grad():
        for weight in pipeline.vae.decoder.conv_out.parameters():
            weight.zero_()
    return pipeline


def test_an_image_without_content_is_tried_again_and_then_fails(blind):
    drawings = list(sampler(blind, batch_size=2).draw(REQUESTS))
    assert all(drawing.image is None and drawing.evidence is None for drawing in drawings)
    assert {drawing.reason for drawing in drawings} == {"the image is one flat colour"}
    assert [drawing.seed for drawing in drawings] == [derive_seed(seed, "retry", 1) for seed in range(11, 16)]
    assert {drawing.attempts for drawing in drawings} == {2}
    assert drawings[2].queried == ("caption", "class-prompt")


def test_only_the_bad_image_is_drawn_again(model_folder):
    pipeline = load_pipeline(str(model_folder("sd")), "cpu")
    decoded = []

    def spoil(module, args, output):
        decoded.append(len(output))
        return torch.full_like(output, float("nan")) if len(decoded) == 2 else output

    pipeline.vae.decoder.register_forward_hook(spoil)
    drawings = list(sampler(pipeline, batch_size=3).draw(REQUESTS[:3]))
    assert [drawing.attempts for drawing in drawings] == [1, 2, 1]
    assert drawings[1].seed == derive_seed(12, "retry", 1)
    assert drawings[1].reason == "" and drawings[1].image is not None
    assert sum(decoded) == 4


def limit_memory(unet, most):
    """Raise what PyTorch raises when a batch of more than ``most`` rows comes."""

    def check(module, args):
        if len(args[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return unet.register_forward_pre_hook(check)


def test_out_of_memory_halves_the_batch_and_goes_on(load):
    pipeline = load("sd")
    limited = sampler(pipeline, batch_size=8)
    handle = limit_memory(pipeline.unet, 4)
    try:
        drawings = list(limited.draw(REQUESTS))
    finally:
        handle.remove()
    assert limited.batch_size == 2
    same_up_to_rounding(drawings, list(sampler(pipeline, batch_size=2).draw(REQUESTS)))
    assert not pipeline.unet._forward_pre_hooks


def test_out_of_memory_in_a_decoder_that_was_made_float32_is_drawn_again(model_folder):
    """diffusers decodes SDXL in float32 and makes the decoder float16 again, unless that fails."""
    pipeline = load_pipeline(str(model_folder("sdxl")), "cpu", "fp16")
    expected = list(sampler(pipeline, batch_size=1, steps=1).draw(REQUESTS[:2]))
    failed = []

    def fail_once(module, args):
        if not failed:
            failed.append(next(module.parameters()).dtype)
            raise torch.OutOfMemoryError("CUDA out of memory.")

    pipeline.vae.decoder.register_forward_pre_hook(fail_once)
    limited = sampler(pipeline, batch_size=2, steps=1)
    same_up_to_rounding(expected, list(limited.draw(REQUESTS[:2])))
    assert failed == [torch.float32] and pipeline.vae.dtype == torch.float16 and limited.batch_size == 1


def test_no_memory_for_one_image_is_said_in_one_line(load):
    pipeline = load("sd")
    handle = limit_memory(pipeline.unet, 0)
    try:
        with pytest.raises(UserError, match="out of memory drawing a single image of 64x96"):
            list(sampler(pipeline).draw(REQUESTS))
    finally:
        handle.remove()


def test_levels_round_as_diffusers_does_and_name_what_is_no_image():
    pixels = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pixels[1] = 0.0
    pixels[2, 0, 3, 3] = float("nan")
    pixels[3] = torch.tensor([0.2, 0.5, 0.7])[:, None, None]
    levels, reasons = image_levels(pixels)
    assert reasons == ["", "the image is one flat colour", "the image has values that are not numbers",
                       "the image is one flat colour"]  # fmt: skip
    expected = (pixels[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(levels[0], expected)


def test_a_latent_consistency_model_draws_as_in_its_own_pipeline(model_folder):
    """In a few steps, with guidance as a number: no second half-batch, and so nothing to steer away from."""
    folder = model_folder("lcm")
    pipeline = load_pipeline(str(folder), "cpu")
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    batches = []
    pipeline.unet.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    drawings = list(sampler(pipeline, guidance=8.5, steps=4).draw(REQUESTS[:2]))
    assert set(batches) == {2}
    bare = LatentConsistencyModelPipeline.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    bare.set_progress_bar_config(disable=True)
    for drawing, request in zip(drawings, REQUESTS, strict=False):
        alone = bare(
            request.prompt,
            width=64,
            height=96,
            num_inference_steps=4,
            guidance_scale=8.5,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
        ).images[0]
        assert np.abs(drawing.image - 255.0 * alone).max() <= 1.5
        assert all(maps.max() > 0 for maps in drawing.evidence.cross.values())
    other = next(sampler(pipeline, guidance=2.0, steps=4).draw(REQUESTS[:1]))
    assert np.abs(images([other]) - images(drawings[:1])).max() > 2  # the number is heard


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "backend"),
    [("sd", "eager"), *(pytest.param(family, "inductor", marks=pytest.mark.slow) for family in ("sd", "sdxl"))],
)
def test_compiled_blocks_change_neither_images_nor_evidence(model_folder, family, backend):
    plain, compiled = (load_pipeline(str(model_folder(family)), "cpu") for _ in range(2))
    compile_blocks(compiled, backend)
    # Hooks are registered anew for every batch, after the blocks were compiled.
    wanted = list(sampler(plain, batch_size=2).draw(REQUESTS[:4]))
    same_up_to_rounding(wanted, list(sampler(compiled, batch_size=2).draw(REQUESTS[:4])))


def test_compiling_where_it_cannot_work_is_one_line(load):
    with pytest.raises(UserError, match=r"torch\.compile does not work here"):
        compile_blocks(load("sd"), "no such backend")
