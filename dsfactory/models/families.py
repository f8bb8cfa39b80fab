"""Families of diffusion models: their pipeline classes, their parts, and how their attention is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Family:
    """What pipelines of one architecture have in common.

    Attributes:
        name: ``"sd"``, ``"flux"`` …
        pipelines: diffusers classes.
        parts: what has to be in its folder.
        denoiser: the class of the network that draws.
        optional: parts that it may come without.
        joint: image and text attend to each other in one softmax; else there is cross-attention.
        own_scheduler: trained in a way that no other sampling method follows.
        multiple: what width and height in pixels have to be multiples of.
        guided: which of the network's inputs is the caption's, with guidance: the ``"last"`` or the ``"first"`` half of
            the batch, or every other call, beginning with the first: ``"turns"``.
        unreadable: which part of its attention cannot be read; empty for none.
    """

    name: str
    pipelines: tuple[str, ...]
    parts: tuple[str, ...]
    denoiser: str
    optional: tuple[str, ...] = ()
    joint: bool = False
    own_scheduler: bool = True
    multiple: int = 16
    guided: Literal["last", "first", "turns"] = "last"
    unreadable: str = ""

    @property
    def denoiser_part(self) -> str:
        """The part that draws: ``"unet"`` or ``"transformer"``."""
        return self.parts[0]


_ONE_ENCODER = ("vae", "text_encoder", "tokenizer", "scheduler")
_TWO_ENCODERS = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "sd",
            ("StableDiffusionPipeline", "LatentConsistencyModelPipeline"),
            ("unet", *_ONE_ENCODER),
            "UNet2DConditionModel",
            own_scheduler=False,
            multiple=8,
        ),
        Family(
            "sdxl",
            ("StableDiffusionXLPipeline",),
            ("unet", *_TWO_ENCODERS),
            "UNet2DConditionModel",
            own_scheduler=False,
            multiple=8,
        ),
        Family(
            "sd3",
            ("StableDiffusion3Pipeline",),
            ("transformer", *_TWO_ENCODERS),
            "SD3Transformer2DModel",
            optional=("text_encoder_3", "tokenizer_3"),  # it draws without its T5 too
            joint=True,
        ),
        Family("flux", ("FluxPipeline",), ("transformer", *_TWO_ENCODERS), "FluxTransformer2DModel", joint=True),
        Family(
            "flux2",
            ("Flux2KleinPipeline",),
            ("transformer", *_ONE_ENCODER),
            "Flux2Transformer2DModel",
            joint=True,
            guided="turns",
        ),
        Family(
            "zimage",
            ("ZImagePipeline",),
            ("transformer", *_ONE_ENCODER),
            "ZImageTransformer2DModel",
            joint=True,
            guided="first",
        ),
        Family(
            "qwen",
            ("QwenImagePipeline",),
            ("transformer", *_ONE_ENCODER),
            "QwenImageTransformer2DModel",
            joint=True,
            guided="turns",
        ),
        Family(
            "pixart",
            ("PixArtSigmaPipeline",),
            ("transformer", *_ONE_ENCODER),
            "PixArtTransformer2DModel",
            own_scheduler=False,
        ),
        Family(
            "sana",
            ("SanaSprintPipeline",),
            ("transformer", *_ONE_ENCODER),
            "SanaTransformer2DModel",
            multiple=32,
            unreadable="its self-attention is linear and has no map, so there is none to refine with: labels come from "
            "its cross-attention alone",
        ),
    )
}
"""By name."""

PIPELINES: dict[str, Family] = {kind: family for family in FAMILIES.values() for kind in family.pipelines}
"""By diffusers pipeline class."""

DRAWN_AS = {"LatentConsistencyModelPipeline": "StableDiffusionPipeline"}
"""Classes whose parts another one draws with: Stable Diffusion's gives guidance to UNets that take it as a number."""


def text_tokens(family: str, transformer: Mapping[str, Any]) -> int:
    """How many tokens of T5, Gemma or Qwen a model reads at most.

    Of the FLUX.1 models FLUX.1-schnell, which is the one without guidance, takes no more than 256.

    Args:
        family: name of one with such an encoder.
        transformer: content of the transformer's ``config.json``.
    """
    fixed = {"sd3": 256, "pixart": 300, "sana": 300, "flux2": 512, "zimage": 512, "qwen": 1024}
    return fixed.get(family) or (512 if transformer.get("guidance_embeds") else 256)
