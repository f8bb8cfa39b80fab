"""What a pipeline's text encoders make of prompts, once per distinct prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dsfactory.models.loading import FLOW_FAMILIES, quiet
from dsfactory.models.presets import FAMILIES, t5_tokens


@dataclass(frozen=True)
class TextState:
    """An encoded prompt on the pipeline's device.

    Attributes:
        tokens: ``(tokens, features)``, what cross-attention sees.
        pooled: ``(features,)``, the summary that SDXL, SD3 and FLUX add to the time embedding; None for the others.
    """

    tokens: Tensor
    pooled: Tensor | None


def family_of(pipeline: Any) -> str:
    """``"sd"``, ``"sdxl"``, ``"sd3"`` or ``"flux"``."""
    return FAMILIES[type(pipeline).__name__]


def denoiser(pipeline: Any) -> Any:
    """The network that draws: a pipeline's UNet or transformer."""
    return pipeline.transformer if family_of(pipeline) in FLOW_FAMILIES else pipeline.unet


def takes_guidance(network: Any) -> bool:
    """Whether a denoiser takes guidance as a number (FLUX, latent consistency models), not as a second half-batch."""
    embedded = getattr(network.config, "time_cond_proj_dim", None) is not None
    return embedded or type(network).__name__ == "FluxTransformer2DModel"


class TextStates:
    """Encoded prompts of a pipeline, kept so that none is encoded twice.

    Args:
        pipeline: a pipeline of a supported family.
        negative_prompt: what guidance steers away from; None is the family's own default (the empty prompt, and
            zeros for the SDXL models that say so).
    """

    def __init__(self, pipeline: Any, negative_prompt: str | None) -> None:
        self._pipeline = pipeline
        self._negative_prompt = negative_prompt
        self._states: dict[str, TextState] = {}
        self._negative: TextState | None = None

    def forget(self) -> None:
        """Drop the kept prompts, all but the negative one."""
        self._states.clear()

    def encode(self, prompts: Sequence[str]) -> list[TextState]:
        """The state of each prompt; those not yet known are encoded in one batch."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._states]
        if new:
            self._states |= dict(zip(new, self._encode(new), strict=True))
        return [self._states[prompt] for prompt in prompts]

    def negative(self) -> TextState:
        """The state that guidance steers away from."""
        if self._negative is None:
            tokens, pooled = self._encode_raw([""], guided=True)[1::2]
            self._negative = TextState(tokens[0], None if pooled is None else pooled[0])
        return self._negative

    def _encode(self, prompts: list[str]) -> list[TextState]:
        tokens, _, pooled, _ = self._encode_raw(prompts, guided=False)
        return [TextState(tokens[i], None if pooled is None else pooled[i]) for i in range(len(prompts))]

    @torch.no_grad()
    def _encode_raw(self, prompts: list[str], guided: bool) -> tuple[Any, Any, Any, Any]:
        """``(tokens, negative tokens, pooled, negative pooled)`` of the pipeline's own ``encode_prompt``."""
        family = family_of(self._pipeline)
        given: dict[str, Any] = {"prompt": prompts, "device": denoiser(self._pipeline).device}
        given |= {name: None for name in {"sd3": ("prompt_2", "prompt_3"), "flux": ("prompt_2",)}.get(family, ())}
        if family in FLOW_FAMILIES:
            given["max_sequence_length"] = t5_tokens(family, denoiser(self._pipeline).config)
        if family != "flux":  # FLUX takes its guidance as a number, not as a second text
            negative = None if self._negative_prompt is None else [self._negative_prompt] * len(prompts)
            given |= {"do_classifier_free_guidance": guided, "negative_prompt": negative}
        with quiet():  # a long caption is cut, which needs no line per image
            result = self._pipeline.encode_prompt(**given, num_images_per_prompt=1)
        if family == "flux":
            tokens, pooled, _ = result
            return tokens, None, pooled, None
        return result if len(result) == 4 else (*result, None, None)


def pipeline_inputs(states: Sequence[TextState], negative: TextState | None) -> dict[str, Tensor]:
    """Keyword arguments that give a pipeline encoded prompts instead of text.

    Args:
        states: one per image.
        negative: the negative prompt; None without guidance.
    """
    count = len(states)
    inputs = {"prompt_embeds": torch.stack([state.tokens for state in states])}
    if negative is not None:
        inputs["negative_prompt_embeds"] = negative.tokens.expand(count, -1, -1)
    pooled = [state.pooled for state in states if state.pooled is not None]
    if pooled:
        inputs["pooled_prompt_embeds"] = torch.stack(pooled)
        if negative is not None and negative.pooled is not None:
            inputs["negative_pooled_prompt_embeds"] = negative.pooled.expand(count, -1)
    return inputs
