"""What a pipeline's text encoders make of prompts, once per distinct prompt."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dsfactory.models.families import PIPELINES, Family, text_tokens
from dsfactory.models.loading import quiet


@dataclass(frozen=True)
class TextState:
    """An encoded prompt.

    Attributes:
        tokens: ``(tokens, features)``, what attention sees.
        pooled: ``(features,)``, the summary that SDXL, SD3 and FLUX.1 add to the time embedding; None for the others.
        mask: bool ``(tokens,)``, the tokens that attention sees; None for all.
    """

    tokens: Tensor
    pooled: Tensor | None = None
    mask: Tensor | None = None

    def to(self, device: torch.device) -> "TextState":
        pooled, mask = (None if part is None else part.to(device) for part in (self.pooled, self.mask))
        return TextState(self.tokens.to(device), pooled, mask)


def family_of(pipeline: Any) -> Family:
    """The family of a loaded pipeline."""
    return PIPELINES[type(pipeline).__name__]


def denoiser(pipeline: Any) -> Any:
    """The network that draws: a pipeline's UNet or transformer."""
    return getattr(pipeline, family_of(pipeline).denoiser_part)


def takes_guidance(pipeline: Any) -> bool:
    """Whether a model takes guidance as a number (FLUX.1, SANA-Sprint, latent consistency models) or not at all
    (distilled FLUX.2), in place of a negative prompt's part of the batch."""
    if family_of(pipeline).name in ("flux", "sana") or pipeline.config.get("is_distilled"):
        return True
    return getattr(denoiser(pipeline).config, "time_cond_proj_dim", None) is not None


def instruction(pipeline: Any) -> list[str]:
    """What SANA's text encoder is told before the prompt, line by line."""
    lines: list[str] = inspect.signature(type(pipeline).__call__).parameters["complex_human_instruction"].default
    return lines


class TextStates:
    """Encoded prompts of a pipeline, kept so that none is encoded twice.

    Args:
        pipeline: a pipeline of a supported family.
        negative_prompt: what guidance steers away from; None is the family's own default (the empty prompt, and
            zeros for the SDXL models that say so).
        clip_skip: how many of CLIP's last layers are left out; None for the family's own choice.
        keep_on: where they are kept; None for the pipeline's device.
    """

    def __init__(
        self,
        pipeline: Any,
        negative_prompt: str | None,
        clip_skip: int | None = None,
        keep_on: torch.device | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._family = family_of(pipeline).name
        self._negative_prompt = negative_prompt
        self._clip_skip = clip_skip
        self._keep_on: torch.device = keep_on or pipeline._execution_device
        self._states: dict[str, TextState] = {}
        self._negatives: dict[str, TextState] = {}

    def forget(self) -> None:
        """Drop the kept prompts, all but the negative ones."""
        self._states.clear()

    def encode(self, prompts: Sequence[str]) -> list[TextState]:
        """The state of each prompt on the pipeline's device; those not yet known are encoded in one batch."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._states]
        if new:
            self._states |= dict(zip(new, (state.to(self._keep_on) for state in self._encode(new)), strict=True))
        return [self._states[prompt].to(self._pipeline._execution_device) for prompt in prompts]

    def negative(self, also: str = "") -> TextState:
        """The state that guidance steers away from; ``also`` are words beside the negative prompt."""
        if also not in self._negatives:
            text = ", ".join(filter(None, [self._negative_prompt, also])) if also else self._negative_prompt
            if self._family in _CLIP_FAMILIES:
                tokens, pooled = self._encode_clip([""], guided=True, negative_prompt=text)[1::2]
                self._negatives[also] = TextState(tokens[0], None if pooled is None else pooled[0])
            else:
                (self._negatives[also],) = self._encode([text or _NOTHING.get(self._family, "")])
        return self._negatives[also]

    @torch.no_grad()
    def _encode(self, prompts: list[str]) -> list[TextState]:
        if self._family in _CLIP_FAMILIES:
            tokens, _, pooled, _ = self._encode_clip(prompts, guided=False, negative_prompt=self._negative_prompt)
            return [TextState(tokens[i], None if pooled is None else pooled[i]) for i in range(len(prompts))]
        given: dict[str, Any] = {"prompt": list(prompts), "device": self._pipeline._execution_device}  # some change it
        given["max_sequence_length"] = text_tokens(self._family, denoiser(self._pipeline).config)
        if self._family in ("zimage", "pixart"):
            given["do_classifier_free_guidance"] = False
        if self._family == "sana":
            given["complex_human_instruction"] = instruction(self._pipeline)
        with quiet():
            tokens, mask = self._pipeline.encode_prompt(**given)[:2]
        if self._family in ("pixart", "sana"):
            return [TextState(*each) for each in zip(tokens, [None] * len(tokens), mask.bool(), strict=True)]
        if self._family == "qwen" and mask is not None:
            tokens = [each[kept] for each, kept in zip(tokens, mask.bool(), strict=True)]
        return [TextState(each) for each in tokens]

    @torch.no_grad()
    def _encode_clip(
        self, prompts: list[str], guided: bool, negative_prompt: str | None = None
    ) -> tuple[Any, Any, Any, Any]:
        """``(tokens, negative tokens, pooled, negative pooled)`` of the pipeline's own ``encode_prompt``, of a family
        that has a CLIP."""
        family = self._family
        given: dict[str, Any] = {"prompt": prompts, "device": self._pipeline._execution_device}
        given |= {name: None for name in {"sd3": ("prompt_2", "prompt_3"), "flux": ("prompt_2",)}.get(family, ())}
        if family in ("sd3", "flux"):
            given["max_sequence_length"] = text_tokens(family, denoiser(self._pipeline).config)
        if family != "flux":  # FLUX takes its guidance as a number, not as a second text
            negative = None if negative_prompt is None else [negative_prompt] * len(prompts)
            given |= {"do_classifier_free_guidance": guided, "negative_prompt": negative}
        skipped = 0
        if family == "sd":
            skipped = self._clip_skip or 0  # diffusers' own way looks for a part that transformers 5 does not have
        elif family != "flux":
            given["clip_skip"] = self._clip_skip
        # A long caption is cut, which needs no line per image.
        with quiet(), _without_last_layers(self._pipeline.text_encoder, skipped):
            result = self._pipeline.encode_prompt(**given, num_images_per_prompt=1)
        if family == "flux":
            tokens, pooled, _ = result
            return tokens, None, pooled, None
        return result if len(result) == 4 else (*result, None, None)


@contextmanager
def _without_last_layers(encoder: Any, count: int) -> Iterator[None]:
    """Leave out a CLIP's last layers, but not the norm behind them, for a block."""
    if not count:
        yield
        return
    whole = encoder.encoder.layers
    encoder.encoder.layers = whole[:-count]
    try:
        yield
    finally:
        encoder.encoder.layers = whole


_CLIP_FAMILIES = ("sd", "sdxl", "sd3", "flux")

_NOTHING = {"qwen": " "}
"""What stands for an empty negative prompt, where that is not the empty text."""


def pipeline_inputs(
    pipeline: Any, states: Sequence[TextState], negative: Sequence[TextState] | None, steps: int, guidance: float
) -> dict[str, Any]:
    """Keyword arguments of a pipeline's call: encoded prompts in place of text, steps and guidance as it takes them.

    Args:
        pipeline: what is called.
        states: one per image.
        negative: the negative prompts, one per image; None without guidance.
        steps: denoising steps.
        guidance: the scale.
    """
    family = family_of(pipeline).name
    inputs: dict[str, Any] = {"num_inference_steps": steps, "guidance_scale": guidance}
    named = [("", list(states))] + ([("negative_", list(negative))] if negative is not None else [])
    for name, each in named:
        tokens = [state.tokens for state in each]
        if family == "zimage":
            inputs[f"{name}prompt_embeds"] = tokens
        elif family == "qwen":
            lengths = torch.tensor([len(state) for state in tokens], device=tokens[0].device)
            padded = pad_sequence(tokens, batch_first=True)
            inputs[f"{name}prompt_embeds"] = padded
            places = torch.arange(padded.shape[1], device=padded.device)
            inputs[f"{name}prompt_embeds_mask"] = (places < lengths[:, None]).long()
        else:
            inputs[f"{name}prompt_embeds"] = torch.stack(tokens)
        pooled = [state.pooled for state in each if state.pooled is not None]
        if pooled:
            inputs[f"{name}pooled_prompt_embeds"] = torch.stack(pooled)
        masks = [state.mask for state in each if state.mask is not None]
        if masks:
            inputs[f"{name}prompt_attention_mask"] = torch.stack(masks).long()
    if family in ("pixart", "sana"):
        inputs["use_resolution_binning"] = False  # it would crop pictures, and their attention with them
    if family == "pixart":
        inputs["negative_prompt"] = None
    if family == "sana" and steps != 2:
        inputs["intermediate_timesteps"] = None
    if family == "zimage" and negative is None:
        inputs["guidance_scale"] = 0.0  # here 1 would be some
    if family == "qwen":
        inputs |= {"guidance_scale": None, "true_cfg_scale": guidance if negative is not None else 1.0}
    return inputs
