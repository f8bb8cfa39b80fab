"""Settings of the annotate stage: which images, and how their noisy versions are read."""

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from dsfactory.core.config import Section
from dsfactory.core.flags import Panel, flag

MAX_TIMESTEP = 999
"""Stable Diffusion is trained on 1000 steps of noise, 0 the least."""


class AnnotateConfig(Section):
    """How given images are labelled. The model and the size it works at are settings of ``generate``."""

    also: ClassVar[tuple[str, ...]] = ("generate.model", "generate.device")

    images: str | None = Field(
        None,
        description="A folder of images, or one image. They are only read.",
        json_schema_extra=flag(
            Panel.WHAT,
            help="A folder of images (its sub-folders too), or one image.",
            file=True,
            argument=True,
            affects_output=False,
        ),
    )
    image_classes: str | None = Field(
        None,
        description="A CSV or JSON file that says which classes each image shows. The model decides about the rest.",
        json_schema_extra=flag(
            Panel.LABELS,
            help="Which classes images show: a CSV with the columns file and classes (a.jpg,dog;bird), or a JSON file "
            '({"a.jpg": ["dog"]}). The model decides about the rest.',
            file=True,
            affects_output=False,
        ),
    )
    timesteps: tuple[Annotated[int, Field(ge=0, le=MAX_TIMESTEP)], ...] = Field(
        (100, 200, 300, 400),
        min_length=1,
        description="How much noise is added, in steps from 0 to 999. Each is one pass.",
        json_schema_extra=flag(Panel.LABELS),
    )
    seeds: int = Field(
        3, ge=1, le=64, description="Samples of noise per timestep. Their results are averaged.",
        json_schema_extra=flag(Panel.LABELS),
    )  # fmt: skip
    prompt: str = Field(
        "a photo of {classes}", max_length=300, description="What the model is told. {classes} is 'a dog and a bird'."
    )
    plain_prompt: str = Field(
        "a photo", max_length=300, description="What it is told of an image that shows none of the classes."
    )
    min_gain: float | None = Field(
        0.001,
        ge=0,
        le=1,
        description="A class is in an image when naming it, and no other, lowers the error of the model's noise "
        "prediction by this share of the whole. null: every class is in every image.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="SHARE|off",
            help="A class is in an image when naming it, and no other, lowers the model's error by this share. "
            "off: every class is in every image.",
            off={"min_gain": None},
        ),
    )

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, prompt: str) -> str:
        rest = prompt.replace("{classes}", "", 1)
        if rest == prompt or "{" in rest or "}" in rest:
            raise ValueError(f"annotate.prompt {prompt!r} must hold {{classes}} once, and no other braces")
        return prompt
