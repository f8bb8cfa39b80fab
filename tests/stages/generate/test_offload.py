"""Networks that take turns on a device, and settings of the text and the autoencoder: on the real classes, on a CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.models.loading import load_pipeline, offload_to
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.model import limits
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.prompts.vocabulary import find_mentions
from tests.tiny_families import tiny_pixart, tiny_sana
from tests.tiny_models import tiny_flux, tiny_sd, tiny_sdxl

DOG, CAT = ClassSpec(name="dog"), ClassSpec(name="cat")
REQUESTS = [Request(f"a photo of a dog {word}", seed, (DOG, CAT)) for seed, word in enumerate(("in", "on", "and"))]
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def draw(pipeline: Any, **changes: Any) -> list[Any]:
    settings: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "guidance": 4.0, "batch_size": 2} | changes
    return list(Sampler(pipeline, find_mentions=find_mentions, **settings).draw(REQUESTS))


@pytest.mark.parametrize(
    ("way", "device"),
    [
        ("model", "cpu"),
        pytest.param("model", "cuda", marks=on_a_gpu),
        pytest.param("sequential", "cuda", marks=on_a_gpu),  # accelerate's does not work from a CPU to itself
    ],
)
@pytest.mark.parametrize("make", [tiny_sd, tiny_flux, tiny_pixart])
def test_offloading_changes_nothing_and_text_is_encoded_first(make: Any, way: Any, device: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    plain = draw(load_pipeline(str(folder), device, "fp32"))
    pipeline = load_pipeline(str(folder), "cpu", "fp32")
    offload_to(pipeline, torch.device(device), way)
    order: list[str] = []
    for part in ("text_encoder", "unet" if make is tiny_sd else "transformer"):
        getattr(pipeline, part).register_forward_pre_hook(lambda *_, part=part: order.append(part))
    for one, other in zip(plain, draw(pipeline), strict=True):
        assert np.array_equal(one.image, other.image)
        assert one.evidence.to_bytes() == other.evidence.to_bytes()
    assert "text_encoder" not in order[order.index(order[-1]) :]


@pytest.mark.long
def test_settings_of_text_and_autoencoder(tmp_path: Path) -> None:
    folder = tiny_sd(tmp_path / "model")
    pipeline = load_pipeline(str(folder), "cpu")
    plain = draw(pipeline)
    layers = len(pipeline.text_encoder.encoder.layers)
    assert not np.array_equal(draw(pipeline, clip_skip=1)[0].image, plain[0].image)
    assert len(pipeline.text_encoder.encoder.layers) == layers
    assert np.array_equal(draw(pipeline)[0].image, plain[0].image)
    xl = load_pipeline(str(tiny_sdxl(tmp_path / "xl")), "cpu")
    assert not np.array_equal(draw(xl, clip_skip=1)[0].image, draw(xl)[0].image)
    vae = AutoencoderKL.from_pretrained(str(folder), subfolder="vae")
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(-1)
    vae.save_pretrained(tmp_path / "vae")
    other = draw(load_pipeline(str(folder), "cpu", vae=str(tmp_path / "vae")))
    assert not np.array_equal(other[0].image, plain[0].image)
    assert other[0].evidence.to_bytes() == plain[0].evidence.to_bytes()
    for wrong in (tmp_path, folder / "unet"):
        with pytest.raises(UserError, match=r"generate\.vae="):
            load_pipeline(str(folder), "cpu", vae=str(wrong))


def test_only_settings_that_are_used_are_in_the_fingerprint(tmp_path: Path) -> None:
    folder = tiny_sd(tmp_path / "model")

    def identity(**settings: Any) -> dict[str, Any]:
        return GenerateStage(GenerateConfig(model=str(folder), dtype="fp32", **settings), [DOG]).identity()

    plain = identity()
    assert not {"offload", "vae", "vae_tiling", "clip_skip"} & set(plain)
    assert identity(offload="model") == plain
    assert identity(clip_skip=1) == {**plain, "clip_skip": 1}
    assert identity(vae_tiling=True) == {**plain, "vae_tiling": True}
    assert len(identity(vae=str(folder / "vae"))["vae"]) == 32
    with pytest.raises(UserError, match="is not an autoencoder's folder"):
        identity(vae=str(tmp_path))
    other = GenerateConfig(model=str(tiny_pixart(tmp_path / "pixart")), dtype="fp32", clip_skip=1)
    with pytest.raises(UserError, match=r"generate\.clip_skip does not suit .* leave it out"):
        GenerateStage(other, [DOG]).identity()


def test_what_cannot_be_read_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    (line,) = limits(GenerateConfig(model=str(tiny_sana(tmp_path / "model"))))
    assert "its self-attention is linear and has no map" in line
    assert limits(GenerateConfig(model="pocket")) == []
