"""Settings of annotating: which pictures, and how their noisy versions are read."""

from typing import Annotated

from pydantic import Field, JsonValue, field_validator

from dsfactory.core.config import Section

_NO_EFFECT: dict[str, JsonValue] = {"affects_output": False}

MAX_TIMESTEP = 999
"""Stable Diffusion is trained on 1000 steps of noise, 0 the least."""


class AnnotateConfig(Section):
    """How given pictures are labelled. The model and the size it works at are settings of ``generate``."""

    images: str = Field(description="Folder of the pictures, or one picture.", json_schema_extra=_NO_EFFECT)
    image_classes: str | None = Field(
        None,
        description="CSV or JSON file that says which classes each picture shows; the model judges the rest.",
        json_schema_extra=_NO_EFFECT,
    )
    timesteps: tuple[Annotated[int, Field(ge=0, le=MAX_TIMESTEP)], ...] = Field(
        (100, 200, 300, 400), min_length=1, description="How much noise is added, in steps of 0 to 999; one pass each."
    )
    seeds: int = Field(3, ge=1, le=64, description="Draws of noise per timestep, averaged.")
    prompt: str = Field(
        "a photo of {classes}", max_length=300, description="What the model is told; {classes} is 'a dog and a bird'."
    )
    plain_prompt: str = Field(
        "a photo", max_length=300, description="What it is told of a picture that shows none of the classes."
    )
    min_gain: float | None = Field(
        0.001,
        ge=0,
        le=1,
        description="A class is in a picture when naming it, and no other, lowers the error of the model's noise "
        "prediction somewhere, by so much of the whole; null takes every class for present.",
    )

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, prompt: str) -> str:
        rest = prompt.replace("{classes}", "", 1)
        if rest == prompt or "{" in rest or "}" in rest:
            raise ValueError(f"annotate.prompt {prompt!r} must hold {{classes}} once, and no other braces")
        return prompt
